"""Decoded clips for the pixel stage: degraded and true frames with their masks, read as they are needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from vividface.data.clips import draw_path
from vividface.data.samples import Sample
from vividface.errors import InputError
from vividface.tensors import frames_to_tensor
from vividface.video import read_clip, read_masks


@dataclass(frozen=True, kw_only=True)
class PixelClip:
    """The three videos of a clip.

    Attributes:
        clip_id: id of the clip.
        hq: path of the ground truth.
        lq: path of the degraded clip, of the first draw.
        mask: path of the masks.
        num_frames: number of frames of each.
    """

    clip_id: str
    hq: Path
    lq: Path
    mask: Path
    num_frames: int


class PixelClips:
    """Samples of consecutive frames from clips.

    Args:
        clips: clips to sample from; those that are too short are left out.
        num_frames: number of frames of a sample.

    Raises:
        InputError: no clip is long enough.
    """

    def __init__(self, clips: Iterable[PixelClip], *, num_frames: int) -> None:
        long_enough = [clip for clip in clips if clip.num_frames >= num_frames]
        self._clips = sorted(long_enough, key=lambda clip: clip.clip_id)
        self._num_frames = num_frames
        if not self._clips:
            raise InputError(
                f"no clip of at least {num_frames} frames is left to train on; lower filter.threshold, "
                "pixel_stage.num_frames or training.num_validation_clips, or add videos"
            )

    def __len__(self) -> int:
        return len(self._clips)

    @property
    def clip_ids(self) -> list[str]:
        """The ids of the clips, in the order of the indices."""
        return [clip.clip_id for clip in self._clips]

    def read(self, index: int, position: float, *, draw: int = 0) -> Sample:
        """Decode one sample.

        Args:
            index: index of the clip.
            position: first frame of the sample, as a share of the possible ones, in [0, 1).
            draw: number of the degradation, from 0.

        Returns:
            frames, the degraded ones resized to the size of the true ones, and their masks.
        """
        clip = self._clips[index]
        start = int(position * (clip.num_frames - self._num_frames + 1))
        stop = start + self._num_frames
        hq = read_clip(clip.hq, start, stop)
        lq = read_clip(draw_path(clip.lq, draw), start, stop, size=(hq.shape[2], hq.shape[1]))
        masks = torch.from_numpy(read_masks(clip.mask, start, stop))
        return Sample(frames_to_tensor(lq), frames_to_tensor(hq), masks.float(), clip.clip_id)
