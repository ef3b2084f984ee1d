"""The training monitor: curves, sample grids, and measures on clips that are not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vividface.errors import InputError
from vividface.models.perceptual import load_lpips
from vividface.tensors import tensor_to_frames
from vividface.training.base import Example, StageConfig
from vividface.weights.cache import is_cached

# Clips in a sample grid, a row each: input, output, hq.
_ROWS = 4
_LPIPS = ("alexnet_features", "lpips_alex_heads")


class Monitor:
    """TensorBoard's files, Weights & Biases if it is configured, and sample grids as PNG files.

    A context, in which the trackers are open; only the first process writes.

    Args:
        accelerator: accelerator of this process.
        folder: folder of the files.
        config: hyper-parameters of the stage.
        step: step at which the run begins or resumes; what an earlier run logged of later steps is dropped.
        settings: settings that Weights & Biases shows beside the run.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        folder: Path,
        *,
        config: StageConfig,
        step: int,
        settings: dict[str, Any],
    ) -> None:
        self._is_main, self._folder = accelerator.is_main_process, folder
        self._wandb_project, self._step, self._settings = config.wandb, step, settings
        # accelerate has no types.
        self._tensorboard: Any = None
        self._wandb: Any = None
        self._lpips: nn.Module | None = None

    def __enter__(self) -> Monitor:
        if not self._is_main:
            return self
        # They import TensorBoard and Weights & Biases.
        from accelerate.tracking import TensorBoardTracker, WandBTracker

        if self._wandb_project:
            if find_spec("wandb") is None:
                raise InputError(
                    "training.wandb: the package wandb is not installed; `pip install wandb`, or set it "
                    "to null"
                )
            name = f"{self._folder.parent.name}-{self._folder.name}"
            self._wandb = WandBTracker(self._wandb_project, name=name, config=self._settings)
            self._wandb.start()
        self._tensorboard = TensorBoardTracker("tensorboard", self._folder, purge_step=self._step + 1)
        self._tensorboard.start()
        return self

    def __exit__(self, *_: object) -> None:
        for tracker in self._trackers():
            tracker.finish()

    def log(self, values: dict[str, float], step: int) -> None:
        """Add a point to each of these curves."""
        for tracker in self._trackers():
            tracker.log(values, step)

    def validate(self, examples: Iterable[Example], step: int) -> dict[str, float]:
        """Measure examples, and show the first of them.

        Args:
            examples: clips that are not trained on; every process makes them, since a model that is sharded
                computes on all processes together.
            step: number of steps that are done.

        Returns:
            means over the clips: `psnr` of the output and `psnr_input` of the input, dB, and `lpips` of
            either where its weights are in the cache; nothing without examples.
        """
        values: dict[str, list[float]] = {}
        rows: list[np.ndarray] = []
        for example in examples:
            if not self._is_main:
                continue
            hq = example.hq.clamp(-1, 1).float()
            for suffix, frames in (("_input", example.lq), ("", example.restored)):
                for measure, value in self._measure(frames.float().clamp(-1, 1), hq).items():
                    values.setdefault(measure + suffix, []).append(value)
            if len(rows) < _ROWS:
                rows.append(_row(example))
        if rows:
            self._show(np.concatenate(rows), step)
        means = {name: float(np.mean(measured)) for name, measured in values.items()}
        self.log({f"validation/{name}": value for name, value in means.items()}, step)
        return means

    def _trackers(self) -> list[Any]:
        return [tracker for tracker in (self._tensorboard, self._wandb) if tracker is not None]

    def _measure(self, frames: Tensor, reference: Tensor) -> dict[str, float]:
        error = (frames - reference).square().mean((0, 2, 3)) / 4
        measures = {"psnr": float((-10 * torch.log10(error.clamp_min(1e-8))).mean())}
        if all(map(is_cached, _LPIPS)):
            if self._lpips is None:
                self._lpips = load_lpips("alex").to(frames.device).eval()
            pair = ((images.transpose(0, 1) + 1) / 2 for images in (frames, reference))
            # In float32, whatever the training's mixed precision.
            with torch.autocast(frames.device.type, enabled=False):
                measures["lpips"] = float(self._lpips(*pair).mean())
        return measures

    def _show(self, grid: np.ndarray, step: int) -> None:
        path = self._folder / "samples" / f"step-{step:08d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), grid[..., ::-1])
        self._tensorboard.log_images({"samples": grid[None]}, step, dataformats="NHWC")
        if self._wandb is not None:
            self._wandb.log_images({"samples": [grid]}, step)


def _row(example: Example) -> np.ndarray:
    """The middle frame of input, output and hq, side by side (H, 3 W, 3) uint8."""
    middle = example.lq.shape[1] // 2
    return np.concatenate(
        [tensor_to_frames(frames[:, middle : middle + 1].float())[0] for frames in example], axis=1
    )
