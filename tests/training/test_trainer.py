"""The trainer: averaged weights, guards, signals."""

import multiprocessing
import os
import signal

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from vividface.errors import InputError, StoppedError
from vividface.training.run import train_latent_stage
from vividface.training.stages import LatentStage

from .helpers import same_weights, trained_weights


def test_the_result_is_the_moving_average_of_the_weights(make_job, tmp_path):
    values = {
        "checkpoint_every": 1,
        "keep_every": 1,
        "ema_decay": 0.5,
        "schedule": "constant",
        "fine_share": 0,
    }
    job = make_job(tmp_path / "longer", values | {"iterations": 5})
    train_latent_stage(job)
    name, expected = "transformer.proj_out.weight", None
    for step in range(1, 5):
        state = job.paths.states / f"step-{step:08d}"
        raw = load_file(state / "model.safetensors")[name]
        # diffusers' warm-up of the decay; the first step copies.
        decay = min((1 + step - 1) / (10 + step - 1), 0.5) if step > 1 else 0.0
        expected = raw if expected is None else expected + (1 - decay) * (raw - expected)
        average = load_file(state / "ema.safetensors")[name]
        assert torch.allclose(average, expected, atol=1e-7), step
    assert not torch.equal(average, raw)
    shorter = make_job(tmp_path / "shorter", values | {"iterations": 4})
    train_latent_stage(shorter)
    assert torch.equal(trained_weights(shorter)["proj_out.weight"], average)


def test_the_loss_falls_and_is_logged(config, make_job, tmp_path):
    values = {"iterations": 20, "validate_every": 20, "checkpoint_every": 20}
    job = make_job(tmp_path, values, model=config.model)
    train_latent_stage(job)
    curve = pd.read_csv(job.curve)
    assert list(curve.columns) == ["step", "loss", "learning_rate", "seconds", "gradient_norm"]
    assert curve["loss"].tail(4).mean() < 0.8 * curve["loss"].head(4).mean()


def test_a_loss_that_is_not_finite_names_the_clips(make_job, monkeypatch, tmp_path):
    monkeypatch.setattr(
        LatentStage, "loss", lambda self, model, batch: {"loss": model(batch.lq).sum() * float("nan")}
    )
    job = make_job(tmp_path)
    with pytest.raises(InputError, match=r"the loss is nan .* at step 1 with the clips clip_\d, clip_\d"):
        train_latent_stage(job)
    assert not job.output.exists()


def test_an_exploding_loss_stops(make_job, monkeypatch, tmp_path):
    loss, calls = LatentStage.loss, []

    def exploding(self, model, batch):
        calls.append(1)
        terms = loss(self, model, batch)
        return {"loss": terms["loss"] * (1e4 if len(calls) == 25 else 1)}

    monkeypatch.setattr(LatentStage, "loss", exploding)
    with pytest.raises(
        InputError, match=r"more than 100 times \(max_loss_ratio\) its recent mean .* step 25"
    ):
        train_latent_stage(make_job(tmp_path, {"iterations": 30}))


LONGER = {"iterations": 20, "num_workers": 1}


@pytest.fixture(scope="module")
def longer_run(make_job, tmp_path_factory):
    job = make_job(tmp_path_factory.mktemp("longer"), LONGER)
    train_latent_stage(job)
    return job


@pytest.mark.xdist_group("training")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_the_next_run_resumes(number, make_job, longer_run, tmp_path):
    job = make_job(tmp_path, LONGER)
    loss, calls = LatentStage.loss, []
    handler = signal.getsignal(number)

    def signalling(self, model, batch):
        calls.append(1)
        if len(calls) == 7:
            # As SLURM does: to all processes, those that read batches too.
            for process in [*multiprocessing.active_children(), multiprocessing.current_process()]:
                os.kill(process.pid, number)
        return loss(self, model, batch)

    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(StoppedError, match=r"after step [78]; run it again"),
    ):
        patch.setattr(LatentStage, "loss", signalling)
        train_latent_stage(job)
    assert signal.getsignal(number) is handler
    train_latent_stage(job)
    assert same_weights(longer_run, job)
