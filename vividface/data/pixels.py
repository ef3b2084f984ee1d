"""Pixel clips for the second stage: degraded and true frames with their masks, decoded as they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vividface.data.latents import frames_to_tensor
from vividface.errors import InputError
from vividface.video import read_clip, read_masks


@dataclass(frozen=True)
class PixelClip:
    """Where a clip's three videos lie, and how many frames they have."""

    clip_id: str
    hq: Path
    lq: Path
    mask: Path
    frames: int


class PixelClips:
    """Random windows of `frames` frames from clips.

    Raises:
        InputError: no clip is long enough.
    """

    def __init__(self, clips: list[PixelClip], frames: int) -> None:
        self._clips = sorted((clip for clip in clips if clip.frames >= frames), key=lambda clip: clip.clip_id)
        self._frames = frames
        if not self._clips:
            raise InputError(
                f"no clip of at least {frames} frames is left to train on; lower filter.threshold, "
                "lower pixel_stage.frames or add videos"
            )

    def __len__(self) -> int:
        return len(self._clips)

    @property
    def clip_ids(self) -> list[str]:
        """In the order of the indices."""
        return [clip.clip_id for clip in self._clips]

    def read(self, index: int, position: float) -> dict[str, Tensor | str]:
        """One window.

        Args:
            index: of the clip.
            position: in [0, 1): where in the clip the window starts, as a share of the possible starts.

        Returns:
            `low` and `high` (3, F, H, W) in [-1, 1], `mask` (F, H, W) float32, and the clip's id.
        """
        clip = self._clips[index]
        start = int(position * (clip.frames - self._frames + 1))
        stop = start + self._frames
        high = read_clip(clip.hq, start, stop)
        low = read_clip(clip.lq, start, stop, (high.shape[2], high.shape[1]))
        return {
            "low": frames_to_tensor(low),
            "high": frames_to_tensor(high),
            "mask": torch.from_numpy(read_masks(clip.mask, start, stop)).float(),
            "clip_id": clip.clip_id,
        }
