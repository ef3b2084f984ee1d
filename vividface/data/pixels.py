"""Decoded clips for the pixel stage: degraded and true frames with their masks, read as they are needed."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vividface.data.clips import draw_path
from vividface.data.samples import Sample
from vividface.errors import InputError
from vividface.tensors import frames_to_tensor
from vividface.video import read_clip, read_masks

# Each of them has threads of its own.
_DECODERS = 4


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
        # All frames of each clip, (F, H, W, 3) uint8, and of masks (F, H, W) bool, by path.
        self._kept: dict[Path, Tensor] = {}
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
        place = slice(start, start + self._num_frames)
        if self._kept:
            paths = (draw_path(clip.lq, draw), clip.hq, clip.mask)
            lq, hq, masks = (self._kept[path][place] for path in paths)
        else:
            lq, hq, masks = _decode(clip, [draw], place)
        return Sample(frames_to_tensor(lq), frames_to_tensor(hq), masks.float(), clip.clip_id)

    def keep(self, device: torch.device, *, num_draws: int) -> None:
        """Decode all clips into the memory of a device, where `read` then leaves them.

        Args:
            device: device of the samples.
            num_draws: number of degradations of each clip.
        """

        def decode(clip: PixelClip) -> None:
            paths = (*(draw_path(clip.lq, draw) for draw in range(num_draws)), clip.hq, clip.mask)
            frames = _decode(clip, range(num_draws), slice(0, clip.num_frames))
            self._kept |= {path: tensor.to(device) for path, tensor in zip(paths, frames, strict=True)}

        with ThreadPoolExecutor(min(_DECODERS, torch.get_num_threads())) as pool:
            for _ in pool.map(decode, self._clips):
                pass


def _decode(clip: PixelClip, draws: Iterable[int], place: slice) -> list[Tensor]:
    """Frames of a clip's degradations, resized to the size of the true ones, then of those, and the masks."""
    hq = read_clip(clip.hq, place.start, place.stop)
    size = (hq.shape[2], hq.shape[1])
    lq = [read_clip(draw_path(clip.lq, draw), place.start, place.stop, size=size) for draw in draws]
    masks = read_masks(clip.mask, place.start, place.stop)
    return [torch.from_numpy(frames) for frames in (*lq, hq, masks)]
