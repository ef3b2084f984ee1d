"""Long videos in constant memory: overlapping windows of frames, blended where they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from vividface.restoration.base import Restorer

Item = TypeVar("Item")


@dataclass(frozen=True)
class RestoredFrames(Generic[Item]):
    """Frames that no later window changes.

    Attributes:
        items: items that were restored, one per frame.
        frames: the restored frames, (H, W, 3) each.
        resume_at: index of the frame at which reading has to begin to resume behind these frames.
        skip: number of frames from there on that are restored already.
    """

    items: list[Item]
    frames: list[np.ndarray]
    resume_at: int
    skip: int


def restore_windows(
    items: Iterable[Item],
    restore: Callable[[Sequence[Item]], list[np.ndarray]],
    *,
    window: int,
    overlap: int,
    starts_shot: Callable[[Item], bool] = lambda _: False,
    first: int = 0,
) -> Iterator[RestoredFrames[Item]]:
    """Restore a stream of frames window by window.

    Consecutive windows share `overlap` frames, over which the restored frames are faded linearly from the
    earlier window to the later one, so that no seam is visible. No window crosses a cut. At most one window
    is kept in memory.

    Args:
        items: stream with one item per frame: an array (H, W, 3), or anything else that `restore` takes.
        restore: function of F items that gives F restored frames.
        window: number of frames restored at once.
        overlap: number of frames that two windows share; at most half a window, so that a window's last
            frames are its own and restoration can resume from any window.
        starts_shot: function that tells whether a cut lies before an item; the first item always starts a
            shot.
        first: index of the first item.

    Yields:
        the frames of each window that no later one changes, in order: as many in all as there are items.

    Raises:
        ValueError: the overlap is too long.
    """
    if not 0 <= 2 * overlap <= window:
        raise ValueError(f"an overlap of {overlap} frames is more than half a window of {window}")
    current: list[Item] = []
    tail: list[np.ndarray] = []
    start = first

    def end_of_shot() -> RestoredFrames[Item]:
        frames = _fade(tail, restore(current)) if len(current) > len(tail) else tail
        return RestoredFrames(list(current), list(frames), start + len(current), 0)

    for item in items:
        if current and starts_shot(item):
            yield end_of_shot()
            start, current, tail = start + len(current), [], []
        current.append(item)
        if len(current) == window:
            frames = _fade(tail, restore(current))
            keep = window - overlap
            resume_at, skip = (start, keep) if overlap else (start + window, 0)
            yield RestoredFrames(current[:keep], frames[:keep], resume_at, skip)
            start, current, tail = start + keep, current[keep:], frames[keep:]
    if current:
        yield end_of_shot()


def restore_stream(
    frames: Iterable[np.ndarray], restore: Restorer, *, window: int, overlap: int
) -> Iterator[np.ndarray]:
    """`restore_windows` for plain frames.

    Args:
        frames: stream of frames (H, W, 3) uint8.
        restore: function of frames (F, H, W, 3) uint8 that gives the same shape and type.
        window: number of frames restored at once.
        overlap: number of frames shared by two windows.

    Yields:
        restored frames (H, W, 3), one by one.
    """
    windows = restore_windows(
        frames, lambda part: list(restore(np.stack(part))), window=window, overlap=overlap
    )
    for restored in windows:
        yield from restored.frames


def _fade(tail: Sequence[np.ndarray], restored: list[np.ndarray]) -> list[np.ndarray]:
    """Blend the earlier window's last frames into the later window's first ones."""
    blended = []
    for index, (before, after) in enumerate(zip(tail, restored, strict=False)):
        weight = np.float32((index + 1) / (len(tail) + 1))
        blended.append(np.rint(before * (1 - weight) + after * weight).astype(after.dtype))
    return blended + restored[len(tail) :]
