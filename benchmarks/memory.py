"""Peak memory of a GPU's paths at true size, counted without a GPU (`benchmarks/dry_gpu.py`) or measured.

    python -m benchmarks.memory                   # the table of docs/benchmarks.md, counted
    python -m benchmarks.memory restore encode    # those rows whose names begin so
    python -m benchmarks.memory --measure         # measured on the GPU that is here

Networks have random weights or none, on which the memory does not depend. What is not counted is the scratch
memory inside of kernels.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import date
from functools import partial
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock, patch

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from scipy.io import savemat
from torch import nn

from benchmarks.dry_gpu import dry_gpu
from vividface.config import FacesConfig, LatentStageConfig, PixelStageConfig, load_config
from vividface.data import encoding
from vividface.data.latents import LatentClips
from vividface.data.pixels import PixelClips
from vividface.data.samples import Sample
from vividface.devices import device_name, peak_memory_mb
from vividface.evaluation.metrics import METRICS, Clip, SetMetric
from vividface.faces.base import Face
from vividface.faces.facexlib import FacexlibBackend
from vividface.faces.mobilefacenet import MobileFaceNetIdentity
from vividface.models.base import Autoencoder, freeze
from vividface.models.perceptual import load_dists
from vividface.models.presets import random_model
from vividface.models.tiny_autoencoder import TinyWanAutoencoder
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.pipeline import OneStepFacePipeline
from vividface.training.base import Batch, StageConfig
from vividface.training.job import TrainingPaths
from vividface.training.monitor import Monitor
from vividface.training.stages import LatentStage, PixelStage
from vividface.training.trainer import OneStepModule, Trainer
from vividface.weights import cache
from vividface.weights.catalogue import CATALOGUE

_ROOT = Path(__file__).parent.parent
_DOCUMENT = _ROOT / "docs" / "benchmarks.md"
_TITLE = "| path | counted, MiB | measured on a GPU |"
_SHAPE = 81, 512, 512


def restore(
    *,
    dtype: torch.dtype = torch.bfloat16,
    tiny: bool = False,
    tile: bool = False,
    offload: bool = False,
    keep_detail: float | None = None,
) -> None:
    """Restore one window with `wan-1.3b`, as `vividface enhance` does.

    Args:
        dtype: type of the weights.
        tiny: whether the tiny autoencoder takes the place of Wan's.
        tile: whether the autoencoder works in tiles.
        offload: whether the GPU holds only the part that computes.
        keep_detail: setting of the transformer's configuration.
    """
    transformer, autoencoder = random_model("wan-1.3b", dtype=dtype)
    transformer.register_to_config(keep_detail=keep_detail)
    if tiny:
        autoencoder = freeze(TinyWanAutoencoder().to(dtype))
    if tile:
        autoencoder.enable_tiling()  # type: ignore[attr-defined]
    pipeline = OneStepFacePipeline(transformer, autoencoder)
    if offload:
        pipeline.enable_model_cpu_offload(device="cuda")
    else:
        pipeline.to("cuda")
    restored = pipeline.restore(_noise(_SHAPE[0]))
    assert restored.shape == (*_SHAPE, 3)


def encode_shard() -> None:
    """Encode a clip and its degraded version, in float32, as the rule `encode_latents` does."""
    _, autoencoder = random_model("wan-1.3b")
    frames, masks = _noise(_SHAPE[0]), np.zeros(_SHAPE, bool)
    written: dict[str, torch.Tensor] = {}
    with (
        patch.object(encoding, "read_clip", lambda *_, **__: frames),
        patch.object(encoding, "read_masks", lambda *_: masks),
        patch.object(encoding, "save_file", lambda tensors, *_: written.update(tensors)),
        patch.object(encoding, "atomic_path", nullcontext),
    ):
        encoding.encode_shard(
            pd.DataFrame({"clip_id": ["clip"]}),
            autoencoder.to("cuda"),  # type: ignore[attr-defined]
            num_frames=len(frames),
            hq_dir=Path(),
            lq_dir=Path(),
            mask_dir=Path(),
            output=Path("shard.safetensors"),
            device="cuda",
        )
    assert all(tensor.device.type == "cpu" for tensor in written.values())


def look_at_faces(what: str) -> None:
    """Detect, parse or embed the face of two batches of frames of 1920 x 1080.

    Args:
        what: `detect`, `parse`, `embed`, all of facexlib, or `mobilefacenet`.
    """
    frames = [np.zeros((1080, 1920, 3), np.uint8)] * 16
    five = np.array([[800, 400], [1000, 400], [900, 500], [820, 600], [980, 600]], np.float32)
    faces = [Face(np.array([700, 300, 1100, 700], np.float32), five, 1.0)] * len(frames)
    if what == "mobilefacenet":
        MobileFaceNetIdentity("cuda").embed(frames, faces)
        return
    backend = FacexlibBackend(FacesConfig.of_backend("facexlib"), "cuda")
    if what == "detect":
        backend.detect(frames)
    else:
        getattr(backend, what)(frames, faces)


def measure(name: str, num_frames: int) -> None:
    """Measure a clip by a metric.

    Args:
        name: name of `METRICS`.
        num_frames: number of frames of the clip.
    """
    metric, frames = METRICS[name](), _noise(num_frames)
    if isinstance(metric, SetMetric):
        metric.features(frames, "cuda")
    else:
        metric.measure(Clip(frames=frames, reference=frames, device="cuda"))


def validate(stage: str) -> None:
    """Measure one clip of a training stage's validation, in the paper's sizes, beside no optimizer.

    Args:
        stage: `latent` or `pixel`.
    """
    config = load_config(_ROOT / "config.yaml")
    transformer, autoencoder = random_model("wan-1.3b")
    made: LatentStage | PixelStage
    if stage == "latent":
        made = _latent_stage(config.latent_stage, autoencoder)
    else:
        made = _pixel_stage(config.pixel_stage, autoencoder)
    made.to(torch.device("cuda"))
    model = OneStepModule(transformer).to("cuda")
    process = cast(Any, SimpleNamespace(is_main_process=True))
    with tempfile.TemporaryDirectory() as folder:
        settings = cast(StageConfig, config.latent_stage)
        monitor = Monitor(process, Path(folder), config=settings, step=0, settings={})
        with monitor, torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
            monitor.validate(made.examples(model), 1)


def train(stage: str) -> None:
    """Two steps of a training stage by the trainer, of one micro-batch each.

    Args:
        stage: `latent` or `pixel`.
    """
    config = load_config(_ROOT / "config.yaml")
    transformer, autoencoder = random_model("wan-1.3b")
    transformer.requires_grad_(requires_grad=True)
    made: LatentStage | PixelStage
    if stage == "latent":
        stage_config: StageConfig | None = config.latent_stage
        made, shape = _latent_stage(config.latent_stage, autoencoder), (16, 21, 64, 64)
    else:
        stage_config = config.pixel_stage
        made = _pixel_stage(config.pixel_stage, autoencoder, dists=load_dists())
        shape = (3, config.pixel_stage.num_frames, *_SHAPE[1:])
    assert stage_config is not None
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(transformer, made, stage_config, Path(folder))
        # The optimizer's moments are there from the second on.
        for _ in range(2):
            batch = make_batch(stage_config.micro_batch, shape)
            started = time.perf_counter()
            trainer._advance([batch])
            torch.cuda.synchronize()
            seconds = time.perf_counter() - started
            print(f"a step of {len(batch.lq)} samples: {seconds:.2f} s", file=sys.stderr)


def make_trainer(
    transformer: OneStepTransformer, stage: LatentStage | PixelStage, config: StageConfig, folder: Path
) -> Trainer:
    """A trainer whose step is one micro-batch: other ones of the step would take no more memory.

    Args:
        transformer: transformer to train.
        stage: training stage.
        config: hyper-parameters of the stage.
        folder: folder of all that it writes.
    """
    names = ("curve", "validation", "states", "monitor", "stop")
    paths = TrainingPaths(**{name: folder / name for name in names})
    trainer = Trainer(transformer, stage, config=config, paths=paths, seed=0, settings={})
    trainer._accelerator.gradient_accumulation_steps = 1
    return trainer


def make_batch(num_samples: int, shape: tuple[int, ...]) -> Batch:
    """A batch of noise, supervised everywhere.

    Args:
        num_samples: number of samples.
        shape: shape of one, (C, T', H', W') of latents or (3, F, H, W) of frames.
    """
    lq, hq = torch.rand(2, num_samples, *shape)
    mask, focus = torch.ones_like(lq[:, 0]), torch.ones(num_samples, dtype=torch.bool)
    return Batch(lq=lq, hq=hq, mask=mask, focus=focus, clip_ids=["clip"] * num_samples)


def _noise(num_frames: int) -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(num_frames, *_SHAPE[1:], 3), dtype=np.uint8)


def _latent_stage(config: LatentStageConfig | None, autoencoder: Autoencoder) -> LatentStage:
    assert config is not None
    latents = torch.zeros(16, 21, 64, 64)
    clips = cast(LatentClips, [Sample(latents, latents, latents[0], "clip")])
    return LatentStage(
        clips, selected=None, validation=clips, autoencoder=autoencoder, config=config, p=0.5, seed=0
    )


def _pixel_stage(
    config: PixelStageConfig | None, autoencoder: Autoencoder, *, dists: nn.Module | None = None
) -> PixelStage:
    assert config is not None
    frames = torch.zeros(3, config.num_frames, *_SHAPE[1:])
    clips = MagicMock(spec=PixelClips)
    clips.__len__.return_value = 1
    clips.read.return_value = Sample(frames, frames, frames[0], "clip")
    return PixelStage(
        clips, validation=clips, autoencoder=autoencoder, dists=dists, config=config, p=0.5, seed=0
    )


# The metrics that compute on a GPU, but for variants of these; numbers of frames that make several batches.
_METRICS = {
    **dict.fromkeys(("psnr_rgb", "ssim_y", "ssim_rgb", "lpips_alex", "lpips_vgg", "dists", "dists_256"), 5),
    **dict.fromkeys(("niqe", "musiq", "clipiqa"), 3),
    **{"facecons_clip": 81, "fastervqa": 81, "fvd_set": 33},
}
_TRAININGS: dict[str, Callable[[], None]] = {
    "two steps of the latent stage, `micro_batch: 4`": partial(train, "latent"),
    "two steps of the pixel stage, `micro_batch: 2`": partial(train, "pixel"),
}
PATHS: dict[str, Callable[[], None]] = {
    "restore, bf16": restore,
    "restore, float32": partial(restore, dtype=torch.float32),
    "restore, bf16, offloaded": partial(restore, offload=True),
    "restore, bf16, in tiles": partial(restore, tile=True),
    "restore, bf16, tiny autoencoder": partial(restore, tiny=True),
    "restore, bf16, tiny autoencoder, offloaded": partial(restore, tiny=True, offload=True),
    "restore, bf16, `keep_detail`": partial(restore, keep_detail=-20.0),
    "encode latents, float32": encode_shard,
    "validate the latent stage": partial(validate, "latent"),
    "validate the pixel stage": partial(validate, "pixel"),
    **_TRAININGS,
    "detect by RetinaFace, 8 x 1920 x 1080": partial(look_at_faces, "detect"),
    "parse by BiSeNet, 8 faces": partial(look_at_faces, "parse"),
    "identity by ArcFace, 8 faces": partial(look_at_faces, "embed"),
    "identity by MobileFaceNet, 16 faces": partial(look_at_faces, "mobilefacenet"),
    **{f"metric `{name}`": partial(measure, name, number) for name, number in _METRICS.items()},
}


def count(path: Callable[[], None]) -> float:
    """The peak of a path, MiB."""
    with _random_weights(), dry_gpu() as memory:
        path()
    return memory.peak / 2**20


def measure_path(name: str) -> float:
    """The peak of a path of `PATHS` on the GPU that is here, MiB."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    # A loss of zeros has no gradient.
    with _random_weights(), nullcontext() if name in _TRAININGS else _no_drawing():
        PATHS[name]()
    return peak_memory_mb("cuda")


@contextmanager
def _no_drawing() -> Iterator[None]:
    """Weights of zeros: to draw 1.3 billion of them takes the CPU longer than the GPU needs for a path."""
    with ExitStack() as stack:
        for name in ("normal_", "uniform_"):
            stack.enter_context(patch.object(torch.Tensor, name, lambda tensor, *_, **__: tensor.zero_()))
        yield


@contextmanager
def _random_weights() -> Iterator[None]:
    """A cache in which every file of weights exists, and networks that keep their random ones."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, {"VIVIDFACE_CACHE": folder}),
        patch.object(torch.nn.Module, "load_state_dict", lambda *_, **__: None),
    ):
        (Path(folder) / "weights").mkdir()
        for name in CATALOGUE:
            if not (path := cache._local(name)).is_file():
                _write_no_weights(path)
        yield


def _write_no_weights(path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file({}, path)
    elif path.suffix == ".mat":
        savemat(path, {"mu_prisparam": np.zeros((1, 36)), "cov_prisparam": np.eye(36)})
    else:
        torch.save({"state_dict": {}}, path)


def read_table(document: Path = _DOCUMENT) -> dict[str, list[str]]:
    """The rows of the documentation's table: what was counted and what was measured, by the path."""
    lines = document.read_text().partition(_TITLE)[2].splitlines()[2:]
    rows = (line.strip("|").split("|") for line in takewhile(lambda line: line.startswith("|"), lines))
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows}


def main() -> None:
    """Count or measure, and print the table; the other column is taken over from the documentation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of the rows' names (default: all)")
    parser.add_argument("--measure", action="store_true", help="measure on the GPU instead of counting")
    options = parser.parse_args()
    chosen, table = tuple(options.names), read_table()
    print(_TITLE, "| --- | --- | --- |", sep="\n")
    for name, path in PATHS.items():
        if chosen and not name.startswith(chosen):
            continue
        counted, measured = table.get(name, ["not counted", "not measured"])
        if options.measure:
            measured = f"{measure_path(name):,.0f} ({device_name('cuda')}, {date.today():%Y-%m-%d})"
        else:
            counted = f"{count(path):,.0f}"
        print(f"| {name} | {counted} | {measured} |", flush=True)


if __name__ == "__main__":
    main()
