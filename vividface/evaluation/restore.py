"""Restoring a benchmark's clips with one method, timed (Table 3)."""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from vividface.config import ModelConfig, RestorationConfig
from vividface.evaluation.baselines import load_baseline
from vividface.files import atomic_path, write_json
from vividface.models.presets import build_autoencoder, build_transformer
from vividface.restoration.colour import correct
from vividface.restoration.pipeline import OneStepFacePipeline
from vividface.restoration.windows import restore_stream
from vividface.video import probe, read_clip, write_clip

Restore = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Method:
    """A method's restorer and how the tables describe it.

    Attributes:
        restore: maps frames (F, H, W, 3) uint8 to the same shape and type.
        steps: diffusion steps; 0 for a method without diffusion.
        from_truth: whether it is given the ground truth (the autoencoder's round trip: a ceiling).
    """

    restore: Restore
    steps: int
    from_truth: bool = False


def load_method(
    name: str, model: ModelConfig, checkpoint: Path | None, seed: int, device: str = "cpu"
) -> Method:
    """A baseline by its name in the configuration, or the trained variant in `checkpoint`."""
    if checkpoint is not None:
        return Method(OneStepFacePipeline.from_checkpoint(checkpoint, device).restore, steps=1)
    if name == "autoencoder":
        pipeline = OneStepFacePipeline(None, build_autoencoder(model)).to(device)
        return Method(pipeline.restore, steps=0, from_truth=True)
    if name == "untuned":
        transformer = build_transformer(model, seed).eval()
        pipeline = OneStepFacePipeline(transformer, build_autoencoder(model)).to(device)
        return Method(pipeline.restore, steps=1)
    return Method(load_baseline(name), steps=0)


def restore_clips(
    name: str,
    method: Method,
    clips: pd.DataFrame,
    windows: RestorationConfig,
    output: Path,
    device: str = "cpu",
) -> None:
    """Restore every clip to `output/{clip}.mkv` and write `output/run.json`.

    The time of a clip is that of the restorer alone, from frames in memory to frames in memory, after a
    warm-up on the first window; decoding and encoding of files are not in it.

    Args:
        name: of the method.
        method: of `load_method`.
        clips: one row per clip: `clip_id`, and the paths `lq` and `hq`, which are the same for a really
            degraded one; what is degraded is resized to the size of `hq`.
        windows: how clips longer than a window are cut, and how the colours of a diffusion model's result
            are corrected; the other methods are measured as they are.
        output: folder, written atomically.
        device: named in `run.json`; on a GPU, peak memory is the GPU's.
    """
    seconds: dict[str, float] = {}
    frames: dict[str, int] = {}
    size = 0
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for row in tqdm(clips.to_dict("records"), desc=name, unit="clip"):
            clip = row["clip_id"]
            source = Path(row["hq" if method.from_truth else "lq"])
            info = probe(row["hq"])
            low = read_clip(source, size=(info.width, info.height))
            if not seconds:
                method.restore(low[: windows.window])
            started = time.perf_counter()
            restored = np.stack(list(restore_stream(low, method.restore, windows.window, windows.overlap)))
            if method.steps:
                restored = correct(restored, low, windows.colour)
            seconds[clip] = time.perf_counter() - started
            frames[clip] = len(low)
            size = low.shape[1]
            write_clip(temporary / f"{clip}.mkv", restored, info.fps)
        run = {
            "method": name,
            "steps": method.steps,
            "seconds_per_clip": seconds,
            "frames": frames,
            "size": size,
            "peak_memory_mb": _peak_memory_mb(device),
            "device": torch.cuda.get_device_name() if device == "cuda" else _processor(),
            "threads": torch.get_num_threads(),
        }
        write_json(temporary / "run.json", run)


def _peak_memory_mb(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
