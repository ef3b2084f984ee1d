"""The interface of a training stage: its batches, its losses, and what it is validated on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from vividface.config import LatentStageConfig, PixelStageConfig

StageConfig = LatentStageConfig | PixelStageConfig


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The samples that a process computes at once: a part of one step's batch.

    Attributes:
        lq: degraded latents (B, C, T', H', W') or frames (B, 3, F, H, W) in [-1, 1].
        hq: ground truth, of the same shape.
        mask: 1 on the face, else 0, (B, T', H', W') or (B, F, H, W).
        focus: b of Eq. 6, (B,) bool.
        clip_ids: ids of the samples' clips, for messages about a batch that fails.
    """

    lq: Tensor
    hq: Tensor
    mask: Tensor
    focus: Tensor
    clip_ids: list[str]

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(
            lq=self.lq.to(device),
            hq=self.hq.to(device),
            mask=self.mask.to(device),
            focus=self.focus.to(device),
            clip_ids=self.clip_ids,
        )


class Example(NamedTuple):
    """A clip that is not trained on, as frames (3, F, H, W) in [-1, 1].

    Attributes:
        lq: the degraded clip.
        restored: what the model makes of it.
        hq: the ground truth.
    """

    lq: Tensor
    restored: Tensor
    hq: Tensor


class Stage(Protocol):
    """What the trainer needs of a stage."""

    def batch(self, step: int, *, part: int, num_parts: int) -> Batch:
        """A part of a step's batch: a function of the seed and the arguments alone.

        Args:
            step: number of the step, from 0.
            part: number of the part, from 0.
            num_parts: number of equal parts that the step's batch is shared into.
        """

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss by name, scalars; the one named `loss` is minimised.

        Args:
            model: Eq. 3: restored latents from degraded ones.
            batch: samples, on the model's device.
        """

    def examples(self, model: nn.Module) -> Iterator[Example]:
        """The clips that are not trained on, restored by the model."""

    def to(self, device: torch.device) -> None:
        """Move the networks that the loss needs."""
