"""Synthetic clips, a small model on disk, and the jobs that train it."""

from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState

from vividface.config import ModelConfig, load_config
from vividface.data.encoding import encode_shard
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.prompt import write_prompt
from vividface.models.transformer import OneStepTransformer
from vividface.training import monitor
from vividface.training.job import LatentStageJob, PixelStageJob
from vividface.training.run import train_latent_stage
from vividface.video import write_clip

CLIPS = [f"clip_{index}" for index in range(8)]
# Of each of four people there are two.
PEOPLE = ["anna", "anna", "ben", "ben", "cleo", "cleo", "dan", "dan"]


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """The models are too small for threads, which would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="package")
def one_lpips():
    """The network that the monitor measures with never changes, and takes longer to build than to use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor, "load_lpips", cache(monitor.load_lpips))
        yield


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """accelerate's settings are those of the process; every test has its own."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """`data/` with eight clips of 5 frames of 32 px, their latents, and the table of three selected ones."""
    folder = tmp_path_factory.mktemp("training") / "data"
    base = folder / "mine"
    generator = np.random.default_rng(0)
    for clip in CLIPS:
        hq = generator.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
        lq = np.clip(hq // 2 + generator.integers(0, 60, hq.shape), 0, 255).astype(np.uint8)
        for kind, frames in (("hq", hq), ("lq", lq)):
            write_clip(base / kind / "0000" / f"{clip}.mkv", frames, 25)
        write_clip(base / "masks" / "0000" / f"{clip}.mkv", np.ones((5, 32, 32), bool), 25, codec="ffv1_gray")
    clips = pd.DataFrame({"clip_id": CLIPS, "shard": "0000", "frames": 5, "kept": True})
    clips = clips.assign(video_id=CLIPS, person=PEOPLE)
    clips.to_parquet(base / "clips.parquet")
    clips[["clip_id"]].iloc[[1, 2, 3]].to_parquet(folder / "face90.parquet")
    encode_shard(
        clips,
        DCTAutoencoder(decay=0.0, lapped=True),
        num_frames=5,
        hq_dir=base / "hq" / "0000",
        lq_dir=base / "lq" / "0000",
        mask_dir=base / "masks" / "0000",
        output=base / "latents" / "0000.safetensors",
    )
    return folder


@pytest.fixture(scope="session")
def config(repository):
    return load_config(repository / "config.yaml", repository / "configs" / "demo.yaml")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """A model on disk of a twentieth of nano's parameters, for what does not depend on how it is built."""
    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    transformer = OneStepTransformer(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=768,
        out_channels=768,
        text_dim=16,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
        prompt_repeats=[1],
    )
    transformer.zero_output()
    transformer.save_pretrained(folder / "transformer")
    DCTAutoencoder(decay=0.0, lapped=True).save_pretrained(folder / "autoencoder")
    write_prompt(folder / "prompt.safetensors", torch.zeros(1, 16))
    return ModelConfig(
        preset="wan-1.3b",
        transformer=folder / "transformer",
        autoencoder=folder / "autoencoder",
        prompt_embedding=folder / "prompt.safetensors",
        prediction="velocity",
        timestep=400,
    )


@pytest.fixture(scope="session")
def make_job(config, data, small_model):
    """`make_job(output, stage values, ...)`: a latent stage's job."""
    return partial(_latent_job, config.latent_stage, small_model, data)


@pytest.fixture(scope="session")
def make_pixel_job(config, data):
    """`make_pixel_job(output, start, stage values, ...)`: a pixel stage's job."""
    return partial(_pixel_job, config.pixel_stage, data)


@pytest.fixture
def latent_job(make_job, config, tmp_path):
    """The demo's latent stage, with its own model, at a few steps, writing to `tmp_path`."""
    return make_job(tmp_path, model=config.model)


@pytest.fixture(scope="session")
def uninterrupted(make_job, tmp_path_factory):
    """`make_job`'s job without changes, done: what interrupted ones are compared with."""
    job = make_job(tmp_path_factory.mktemp("uninterrupted"))
    train_latent_stage(job)
    return job


def _common(data, output, name):
    return {
        "p": 0.5,
        "seed": 0,
        "clips": [data / "mine" / "clips.parquet"],
        "selected": data / "face90.parquet",
        "output": output / name,
        "curve": output / f"{name}.csv",
        "validation": output / f"{name}_validation.csv",
        "folder": output / "logs" / "main" / name,
        "log": output / "log",
    }


def _latent_job(stage, small_model, data, output, values=None, /, **changes):
    few = {
        "iterations": 6,
        "num_frames": 5,
        "batch_size": 2,
        "warmup": 2,
        "num_validation_clips": 2,
        "log_every": 1,
        "num_workers": 0,
        "checkpoint_every": 2,
        "validate_every": 3,
    }
    job = _common(data, output, "latent_stage") | {
        "stage": stage.model_copy(update=few | (values or {})),
        "model": small_model,
        "latents": [data / "mine" / "latents" / "0000.safetensors"],
    }
    return LatentStageJob(**job | changes)


def _pixel_job(stage, data, output, start, values=None, /, **changes):
    few = {
        "iterations": 2,
        "num_frames": 5,
        "warmup": 0,
        "num_validation_clips": 2,
        "dists_weight": 0,
        "log_every": 1,
        "num_workers": 0,
        "validate_every": 2,
    }
    job = _common(data, output, "pixel_stage") | {
        "stage": stage.model_copy(update=few | (values or {})),
        "start": start,
        **{kind: [data / "mine" / kind / "0000"] for kind in ("hq", "lq", "masks")},
    }
    return PixelStageJob(**job | changes)
