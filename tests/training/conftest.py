"""A small latent stage on synthetic clips, and the job that describes it."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from accelerate.state import AcceleratorState

from vividface.config import load_config
from vividface.data.latents import encode_shard
from vividface.models.autoencoders import DCTAutoencoder
from vividface.training.jobs import LatentJob, PixelJob
from vividface.video import write_clip

CLIPS = [f"clip_{index}" for index in range(8)]


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """`data/` with eight clips of 5 frames of 32 px, their latents, and the table of three selected ones."""
    folder = tmp_path_factory.mktemp("training") / "data"
    base = folder / "mine"
    generator = np.random.default_rng(0)
    for clip in CLIPS:
        truth = generator.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
        degraded = np.clip(truth // 2 + generator.integers(0, 60, truth.shape), 0, 255).astype(np.uint8)
        for kind, frames in (("hq", truth), ("lq", degraded)):
            write_clip(base / kind / "0000" / f"{clip}.mkv", frames, 25)
        write_clip(base / "masks" / "0000" / f"{clip}.mkv", np.ones((5, 32, 32), bool), 25, "ffv1_gray")
    clips = pd.DataFrame({"clip_id": CLIPS, "shard": "0000", "frames": 5, "kept": True})
    clips.to_parquet(base / "clips.parquet")
    clips[["clip_id"]].iloc[[1, 2, 3]].to_parquet(folder / "face90.parquet")
    directories = (base / "hq" / "0000", base / "lq" / "0000", base / "masks" / "0000")
    encode_shard(clips, *directories, DCTAutoencoder(), 5, base / "latents" / "0000.safetensors")
    return folder


@pytest.fixture
def latent_job(make_job, tmp_path):
    """The demo's latent stage at a few steps, writing to `tmp_path`."""
    return make_job(tmp_path)


@pytest.fixture(scope="session")
def config(repository):
    return load_config(repository / "config.yaml", repository / "configs" / "demo.yaml")


@pytest.fixture(scope="session")
def make_job(config, data):
    """`make_job(output, stage values, ...)`: a latent stage's job."""
    return partial(_latent_job, config, data)


@pytest.fixture(scope="session")
def make_pixel_job(config, data):
    """`make_pixel_job(output, start, stage values, ...)`: likewise of the pixel stage."""
    return partial(_pixel_job, config, data)


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """accelerate's settings are those of the process; every test has its own."""
    yield
    AcceleratorState._reset_state(True)


def _latent_job(config, data, output, stage=None, **changes):
    values = {"iterations": 6, "frames": 5, "batch_size": 2, "warmup": 2, "log_every": 1, "workers": 0}
    values |= {"checkpoint_every": 2, "validate_every": 3} | (stage or {})
    return LatentJob(
        **{
            "variant": config.variants["main"],
            "stage": config.latent_stage.model_copy(update=values),
            "watch": {"validation_clips": 2},
            "seed": 0,
            "selected": data / "face90.parquet",
            "output": output / "latent_stage",
            "curve": output / "latent_stage.csv",
            "validation": output / "latent_stage_validation.csv",
            "folder": output / "logs" / "main" / "latent_stage",
            "model": config.model,
            "latents": [data / "mine" / "latents" / "0000.safetensors"],
        }
        | changes
    )


def _pixel_job(config, data, output, start, stage=None, **changes):
    values = {"iterations": 2, "frames": 5, "warmup": 0, "log_every": 1, "dists_weight": 0, "workers": 0}
    values |= {"validate_every": 2} | (stage or {})
    return PixelJob(
        **{
            "variant": config.variants["main"],
            "stage": config.pixel_stage.model_copy(update=values),
            "watch": {"validation_clips": 2},
            "seed": 0,
            "selected": data / "face90.parquet",
            "output": output / "pixel_stage",
            "curve": output / "pixel_stage.csv",
            "validation": output / "pixel_stage_validation.csv",
            "folder": output / "logs" / "main" / "pixel_stage",
            "start": start,
            "clips": [data / "mine" / "clips.parquet"],
            "data": data,
        }
        | changes
    )
