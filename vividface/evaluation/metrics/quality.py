"""Quality of whole clips, without a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vividface.evaluation.metrics.base import Clip, Metric
from vividface.weights.cache import weights_path

if TYPE_CHECKING:
    from torch import Tensor

# What FasterVQA's network was trained on: 8 temporal fragments of 4 frames, every second one; 7 x 7 spatial
# fragments of 32 px, at the same places in 8 frames.
_TEMPORAL_FRAGMENTS, _FRAGMENT_FRAMES, _STEP = 8, 4, 2
_FRAGMENTS, _FRAGMENT, _ALIGNED = 7, 32, 8
_NUM_FRAMES, _SIDE = _TEMPORAL_FRAGMENTS * _FRAGMENT_FRAMES, _FRAGMENTS * _FRAGMENT
_PIXEL_MEAN = (123.675, 116.28, 103.53)
_PIXEL_STD = (58.395, 57.12, 57.375)
# Of raw qualities, as the authors publish them.
_RAW_MEAN, _RAW_STD = 0.14759505, 0.03613452
_SEED = 0


class FasterVQA(Metric):
    """FasterVQA (Wu et al., TPAMI 2023): the quality of a clip as people rate it, in [0, 1].

    Video Swin-tiny sees 8 temporal fragments of 4 frames from all parts of the clip, and of each frame 7 x 7
    fragments of 32 px, at full resolution. Value: sigmoid((x - 0.14759505) / 0.03613452), x the mean raw
    quality of some draws, which follow from a fixed seed: all methods are seen at the same places.

    Args:
        num_draws: number of draws.
    """

    name, better, needs_reference = "fastervqa", "higher", False

    def __init__(self, *, num_draws: int = 4) -> None:
        from vividface.evaluation.networks.fastervqa import load_fastervqa

        self._network = load_fastervqa(weights_path("fastervqa"))
        self._num_draws = num_draws

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        import torch

        network, random = self._network.to(clip.device), np.random.default_rng(_SEED)
        raw = []
        with torch.inference_mode():
            for _ in range(self._num_draws):
                indices = self._draw_frames(len(clip.frames), random)
                fragments = _normalise(draw_fragments(clip.frames[indices], random))
                raw.append(network(fragments.to(clip.device)).double().mean())
            return float(torch.sigmoid((torch.stack(raw).mean() - _RAW_MEAN) / _RAW_STD))

    def _draw_frames(self, num_frames: int, random: np.random.Generator) -> np.ndarray:
        return draw_frames(num_frames, random)


class FasterVQAMiddle(FasterVQA):
    """FasterVQA of 32 consecutive frames from the middle of the clip, as the authors' `vqa.py` takes them.

    The script looks for the option of the temporal fragments in the wrong place. All else is `fastervqa`.
    """

    name = "fastervqa_middle"

    def _draw_frames(self, num_frames: int, random: np.random.Generator) -> np.ndarray:
        return middle_frames(num_frames)


def draw_frames(num_frames: int, random: np.random.Generator) -> np.ndarray:
    """Frames of all parts of a clip: four, every second one, from a drawn place in each eighth.

    In an eighth of at most nine frames the place is its first; past the clip's end its beginning follows.

    Args:
        num_frames: number of frames of the clip, at least 1.
        random: generator of the places.

    Returns:
        indices (32,).
    """
    eighth = num_frames // _TEMPORAL_FRAGMENTS
    starts = np.arange(_TEMPORAL_FRAGMENTS) * eighth
    starts += random.integers(max(eighth - _FRAGMENT_FRAMES * _STEP, 1), size=_TEMPORAL_FRAGMENTS)
    return (starts[:, None] + np.arange(_FRAGMENT_FRAMES) * _STEP).flatten() % num_frames


def middle_frames(num_frames: int) -> np.ndarray:
    """The 32 frames in the middle of a clip; a shorter one is repeated.

    Returns:
        indices (32,).
    """
    start = max(num_frames - _NUM_FRAMES + 1, 0) // 2
    return (start + np.arange(_NUM_FRAMES)) % num_frames


def draw_fragments(frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Fragments of 32 px of a grid of 7 x 7 cells, each from a drawn place in its cell.

    Frames with a side below 224 px are enlarged until the shorter one has 224, bilinearly.

    Args:
        frames: frames (32, H, W, 3) uint8, RGB.
        random: generator of the places, which are the same for eight frames.

    Returns:
        (32, 224, 224, 3) uint8, the fragments side by side.
    """
    frames = _enlarge(frames)
    cell_height, cell_width = frames.shape[1] // _FRAGMENTS, frames.shape[2] // _FRAGMENTS
    grid = _FRAGMENTS, _FRAGMENTS, _NUM_FRAMES // _ALIGNED
    down = random.integers(max(cell_height - _FRAGMENT, 1), size=grid)
    right = random.integers(max(cell_width - _FRAGMENT, 1), size=grid)
    fragments = np.empty((_NUM_FRAMES, _SIDE, _SIDE, 3), np.uint8)
    for place in np.ndindex(grid):
        row, column, group = place
        times = slice(group * _ALIGNED, (group + 1) * _ALIGNED)
        target = _fragment_at(row * _FRAGMENT, column * _FRAGMENT)
        source = _fragment_at(row * cell_height + down[place], column * cell_width + right[place])
        fragments[times, *target] = frames[times, *source]
    return fragments


def _fragment_at(top: int, left: int) -> tuple[slice, slice]:
    return slice(top, top + _FRAGMENT), slice(left, left + _FRAGMENT)


def _enlarge(frames: np.ndarray) -> np.ndarray:
    """Frames (F, H, W, 3) whose shorter side has at least 224 px."""
    import torch
    from torch.nn import functional as F

    height, width = frames.shape[1:3]
    shorter = min(height, width)
    if shorter >= _SIDE:
        return frames
    size = round(height * _SIDE / shorter), round(width * _SIDE / shorter)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2)
    enlarged = F.interpolate(images, size=size, mode="bilinear")
    return enlarged.permute(0, 2, 3, 1).numpy()


def _normalise(fragments: np.ndarray) -> Tensor:
    """The network's input (1, 3, 32, 224, 224) from fragments (32, 224, 224, 3) uint8."""
    import torch

    normalised = (torch.from_numpy(fragments) - torch.tensor(_PIXEL_MEAN)) / torch.tensor(_PIXEL_STD)
    return normalised.permute(3, 0, 1, 2)[None]
