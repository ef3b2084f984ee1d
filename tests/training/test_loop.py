import pandas as pd
import pytest
import torch

from vividface.config import StageConfig
from vividface.errors import InputError
from vividface.models.presets import NANO
from vividface.models.transformer import OneStepTransformer
from vividface.training.loop import train
from vividface.training.losses import face_focused_loss
from vividface.training.stages import Batch, Sampler

CONFIG = StageConfig(
    iterations=6,
    frames=5,
    batch_size=2,
    gradient_accumulation=1,
    learning_rate=1e-3,
    warmup=1,
    schedule="constant",
    weight_decay=0.01,
    max_grad_norm=1.0,
    ema_decay=0.9,
    precision="no",
    gradient_checkpointing=False,
    checkpoint_every=3,
    log_every=1,
)


class Halve:
    """A stage whose target is half its input."""

    def __init__(self, fail_at=None):
        self.fail_at = fail_at

    def batch(self, micro_step, rank, processes):
        if micro_step == self.fail_at:
            raise KeyboardInterrupt
        low = torch.randn(2, 768, 2, 4, 4, generator=torch.Generator().manual_seed(micro_step % 2))
        focus = torch.zeros(2, dtype=torch.bool)
        return Batch(low, low / 2, torch.ones(2, 2, 4, 4), focus, ["a", "b"])

    def loss(self, restorer, batch):
        return {"loss": face_focused_loss(restorer(batch.low), batch.high, batch.mask, batch.focus)}


class Broken(Halve):
    def loss(self, restorer, batch):
        return {"loss": restorer(batch.low).sum() * float("nan")}


def fresh():
    torch.manual_seed(0)
    transformer = OneStepTransformer(**(NANO | {"num_layers": 1, "ffn_dim": 64}))
    transformer.start_as_identity()
    return transformer


def test_loss_falls_and_is_logged(tmp_path):
    train(fresh(), Halve(), CONFIG, tmp_path / "log.csv", tmp_path / "state.pt")
    curve = pd.read_csv(tmp_path / "log.csv")
    assert list(curve["step"]) == [1, 2, 3, 4, 5, 6]
    assert curve["loss"].iloc[-1] < 0.99 * curve["loss"].iloc[0]
    assert not (tmp_path / "state.pt").exists()


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path):
    whole = train(fresh(), Halve(), CONFIG, tmp_path / "a.csv", tmp_path / "a.pt")
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), Halve(fail_at=4), CONFIG, tmp_path / "b.csv", tmp_path / "b.pt")
    assert (tmp_path / "b.pt").exists()
    assert not (tmp_path / "b.csv").exists()
    resumed = train(fresh(), Halve(), CONFIG, tmp_path / "b.csv", tmp_path / "b.pt")
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_loss_that_is_not_finite_names_the_clips(tmp_path):
    with pytest.raises(InputError, match="at step 1 with the clips a, b"):
        train(fresh(), Broken(), CONFIG, tmp_path / "log.csv", tmp_path / "state.pt")
    assert not list(tmp_path.iterdir())


def test_sampler_sees_every_clip_once_an_epoch_however_many_processes():
    sampler = Sampler(clips=8, batch_size=2, p=0.5, seed=3)
    epoch = [index for step in range(4) for index in sampler.draw(step, 0, 1)[0]]
    assert sorted(epoch) == list(range(8))
    second = [index for step in range(4, 8) for index in sampler.draw(step, 0, 1)[0]]
    assert sorted(second) == list(range(8))
    assert epoch != second
    halves = Sampler(clips=8, batch_size=1, p=0.5, seed=3)
    for step in range(4):
        together = [halves.draw(step, rank, 2) for rank in (0, 1)]
        indices, positions, focus = sampler.draw(step, 0, 1)
        assert sorted(together[0][0] + together[1][0]) == sorted(indices)
        assert torch.equal(torch.cat([part[1] for part in together]).sort().values, positions.sort().values)
        assert sum(part[2].sum() for part in together) == focus.sum()
