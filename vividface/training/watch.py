"""What can be seen of a training while it runs: curves, sample grids and measures on held-out clips."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker
from torch import Tensor

from vividface.assets import is_cached
from vividface.config import WatchConfig
from vividface.data.latents import tensor_to_frames
from vividface.errors import InputError
from vividface.models.perceptual import load_lpips

logger = logging.getLogger(__name__)

# Clips in a sample grid, a row each: input, output, target.
_ROWS = 4
_LPIPS = ("alexnet_features", "lpips_alex_heads")
Example = tuple[Tensor, Tensor, Tensor]


def hold_out(clips: Iterable[str], count: int, seed: int) -> set[str]:
    """The clips for validation: chosen by a hash of their ids, at most a quarter of all."""
    ids = sorted(set(clips), key=lambda clip: hashlib.sha256(f"{seed}:{clip}".encode()).digest())
    return set(ids[: min(count, len(ids) // 4)])


class Watch:
    """TensorBoard's files, Weights & Biases if it is configured, and sample grids as PNG files.

    A context: what is open is closed at its end.

    Args:
        accelerator: only its first process writes.
        folder: where the files go.
        config: what is watched.
        step: at which the run begins, or goes on: what an earlier run logged of later steps is dropped.
        settings: shown beside the run.
    """

    def __init__(
        self, accelerator: Accelerator, folder: Path, config: WatchConfig, step: int, settings: dict[str, Any]
    ) -> None:
        self._accelerator, self._folder = accelerator, Path(folder)
        self._trackers: list[GeneralTracker] = []
        self._lpips: torch.nn.Module | None = None
        if not accelerator.is_main_process:
            return
        self._trackers.append(TensorBoardTracker("tensorboard", self._folder, purge_step=step + 1))
        if config.wandb:
            name = f"{self._folder.parent.name}-{self._folder.name}"
            self._trackers.append(WandBTracker(config.wandb, name=name, config=settings))
        for tracker in self._trackers:
            try:
                tracker.start()
            except ModuleNotFoundError:
                raise InputError(
                    "watch.wandb: the package wandb is not installed; `pip install wandb`, or set it to null"
                ) from None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        for tracker in self._trackers:
            tracker.finish()

    def log(self, values: dict[str, float], step: int) -> None:
        """Points of curves."""
        for tracker in self._trackers:
            tracker.log(values, step)

    def validate(self, examples: Iterable[Example], step: int) -> dict[str, float]:
        """Measure examples, and show the first of them.

        Args:
            examples: input, output and target, frames (3, F, H, W) in [-1, 1]; all processes make them, since
                a sharded model computes on all together.
            step: so far.

        Returns:
            means over the clips: `psnr` of the output and `psnr_input` of the input, dB, and `lpips` of
            either where its weights are in the cache; nothing without examples.
        """
        sums: dict[str, list[float]] = {}
        rows: list[np.ndarray] = []
        for low, restored, high in examples:
            if not self._accelerator.is_main_process:
                continue
            target = high.clamp(-1, 1)
            for name, frames in (("_input", low), ("", restored)):
                for measure, value in self._measure(frames.float().clamp(-1, 1), target.float()).items():
                    sums.setdefault(measure + name, []).append(value)
            if len(rows) < _ROWS:
                rows.append(_row(low, restored, high))
        if rows:
            self._show(np.concatenate(rows), step)
        means = {name: float(np.mean(values)) for name, values in sums.items()}
        self.log({f"validation/{name}": value for name, value in means.items()}, step)
        return means

    def _measure(self, frames: Tensor, target: Tensor) -> dict[str, float]:
        error = (frames - target).square().mean((0, 2, 3)) / 4
        measures = {"psnr": float((-10 * torch.log10(error.clamp_min(1e-8))).mean())}
        if all(map(is_cached, _LPIPS)):
            if self._lpips is None:
                self._lpips = load_lpips("alex").to(frames.device).eval()
            pair = ((images.transpose(0, 1) + 1) / 2 for images in (frames, target))
            measures["lpips"] = float(self._lpips(*pair).mean())
        return measures

    def _show(self, grid: np.ndarray, step: int) -> None:
        path = self._folder / "samples" / f"step-{step:08d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), grid[..., ::-1])
        self._trackers[0].log_images({"samples": grid[None]}, step, dataformats="NHWC")
        for tracker in self._trackers[1:]:
            tracker.log_images({"samples": [grid]}, step)


def _row(low: Tensor, restored: Tensor, high: Tensor) -> np.ndarray:
    """The middle frame of each, side by side (H, 3 W, 3) uint8."""
    middle = low.shape[1] // 2
    pictures = [
        tensor_to_frames(frames[:, middle : middle + 1].float())[0] for frames in (low, restored, high)
    ]
    return np.concatenate(pictures, axis=1)
