"""What a training step takes of a clip."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Sample(NamedTuple):
    """A clip, or some of its frames, with its mask.

    Attributes:
        lq: degraded latents (C, T', H', W') float32, or frames (3, F, H, W) float32 in [-1, 1].
        hq: ground truth, of the same shape.
        mask: 1 on the face, else 0, (T', H', W') or (F, H, W) float32.
        clip_id: id of the clip.
    """

    lq: Tensor
    hq: Tensor
    mask: Tensor
    clip_id: str
