from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from vividface.config import load_config
from vividface.data.latents import encode_shard
from vividface.errors import InputError
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.presets import load_checkpoint
from vividface.training import run
from vividface.training.run import train_latent_stage, train_pixel_stage
from vividface.video import write_clip


@pytest.fixture(scope="module")
def prepared(repository, tmp_path_factory):
    """The demo's configuration with few steps, and three clips of 5 frames with their latents."""
    config = load_config(repository / "config.yaml", repository / "configs" / "demo.yaml")
    latent = config.latent_stage.model_copy(
        update={"iterations": 4, "frames": 5, "batch_size": 1, "log_every": 1}
    )
    pixel = config.pixel_stage.model_copy(update={"iterations": 1, "warmup": 0, "dists_weight": 0})
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    clips = pd.DataFrame({"clip_id": ["a", "b", "c"], "dataset": "mine", "shard": "0000", "frames": 5})
    for clip in clips["clip_id"]:
        for kind in ("hq", "lq"):
            frames = generator.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
            write_clip(folder / "mine" / kind / "0000" / f"{clip}.mkv", frames, 25)
        masks = np.ones((5, 32, 32), bool)
        write_clip(folder / "mine" / "masks" / "0000" / f"{clip}.mkv", masks, 25, "ffv1_gray")
    base = folder / "mine"
    shard = folder / "0000.safetensors"
    directories = (base / "hq" / "0000", base / "lq" / "0000", base / "masks" / "0000")
    encode_shard(clips, *directories, DCTAutoencoder(), 5, shard)
    return SimpleNamespace(config=config, latent=latent, pixel=pixel, clips=clips, folder=folder, shard=shard)


@pytest.fixture
def seen(monkeypatch):
    """The clips of every batch of a training, in order."""
    batches = []
    train = run.train

    def recording(transformer, stage, config, log, state):
        batches.extend(stage.batch(step, 0, 1).clip_ids for step in range(config.iterations))
        return train(transformer, stage, config, log, state)

    monkeypatch.setattr(run, "train", recording)
    return batches


def latent_stage(prepared, tmp_path, variant, selected=("b",)):
    train_latent_stage(
        prepared.config.model,
        prepared.latent,
        prepared.config.variants[variant],
        [prepared.shard],
        pd.DataFrame({"clip_id": list(selected)}),
        0,
        tmp_path / variant / "latent_stage",
        tmp_path / variant / "latent_stage.csv",
    )
    return tmp_path / variant / "latent_stage"


def test_the_last_share_of_the_steps_sees_the_selected_clips_alone(prepared, seen, tmp_path):
    checkpoint = latent_stage(prepared, tmp_path, "main")
    assert sorted(clip for batch in seen[:3] for clip in batch) == ["a", "b", "c"]
    assert seen[3] == ["b"]
    transformer, autoencoder = load_checkpoint(checkpoint)
    assert transformer.proj_out.weight.abs().max() > 0
    assert autoencoder.fingerprint == DCTAutoencoder().fingerprint
    assert list(pd.read_csv(checkpoint.with_suffix(".csv"))["step"]) == [1, 2, 3, 4]
    assert {path.name for path in checkpoint.parent.iterdir()} == {"latent_stage", "latent_stage.csv"}


def test_without_the_selected_set_every_step_sees_all_clips(prepared, seen, tmp_path):
    latent_stage(prepared, tmp_path, "unfiltered")
    assert sorted(clip for batch in seen[:3] for clip in batch) == ["a", "b", "c"]


def test_the_pixel_stage_goes_on_from_the_latent_stage(prepared, seen, tmp_path):
    start = latent_stage(prepared, tmp_path, "main")
    seen.clear()
    output = tmp_path / "main" / "pixel_stage"
    arguments = (prepared.pixel, prepared.config.variants["main"], prepared.clips)
    selected = pd.DataFrame({"clip_id": ["b"]})
    train_pixel_stage(start, *arguments, selected, prepared.folder, 0, output, output.with_suffix(".csv"))
    assert seen == [["b"]]
    before, after = (load_checkpoint(path)[0].state_dict() for path in (start, output))
    distance = max((after[name] - before[name]).abs().max() for name in before)
    assert 0 < distance <= 2 * prepared.pixel.learning_rate, "one step of AdamW from where it started"


def test_a_selection_that_leaves_nothing_is_refused(prepared, tmp_path):
    with pytest.raises(InputError, match=r"no clip with latents is left.*filter\.threshold"):
        latent_stage(prepared, tmp_path, "main", selected=("elsewhere",))
    assert not list(tmp_path.iterdir())


def test_training_twice_gives_the_same_bits(prepared, tmp_path):
    first = load_checkpoint(latent_stage(prepared, tmp_path / "a", "main"))[0].state_dict()
    second = load_checkpoint(latent_stage(prepared, tmp_path / "b", "main"))[0].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
