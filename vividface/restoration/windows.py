"""Long videos in constant memory: overlapping windows of frames, blended where they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


@dataclass(frozen=True)
class Restored:
    """Frames that are done.

    Attributes:
        frames: the next restored frames, (H, W, 3) each.
        resume_at: index of the frame at which reading has to begin to go on behind these frames.
        skip: number of frames from there on that are done already.
    """

    frames: list[np.ndarray]
    resume_at: int
    skip: int


def restore_windows(
    items: Iterable[Item],
    restore: Callable[[Sequence[Item]], list[np.ndarray]],
    window: int,
    overlap: int,
    starts_shot: Callable[[Item], bool] = lambda _: False,
    first: int = 0,
) -> Iterator[Restored]:
    """Restore a stream of frames window by window.

    Consecutive windows share `overlap` frames, over which the restored frames are faded linearly from the
    earlier window to the later one, so that no seam is visible. No window reaches over a cut. At most one
    window is held in memory.

    Args:
        items: one per frame: an array (H, W, 3) or anything else that `restore` takes.
        restore: maps F items to F restored frames.
        window: frames restored at once.
        overlap: frames that two windows share; at most half a window, so that a window's last frames are
            its own and restoration can go on from any window.
        starts_shot: whether a cut lies before an item; the first one always starts a shot.
        first: index of the first item.

    Yields:
        the frames of each window that no later one changes, in order: as many in all as items were given.

    Raises:
        ValueError: the overlap is too long.
    """
    if not 0 <= 2 * overlap <= window:
        raise ValueError(f"an overlap of {overlap} frames is more than half a window of {window}")
    held: list[Item] = []
    tail: list[np.ndarray] = []
    start = first

    def close() -> Restored:
        """The last frames of a shot."""
        done = _fade(tail, restore(held)) if len(held) > len(tail) else tail
        return Restored(list(done), start + len(held), 0)

    for item in items:
        if held and starts_shot(item):
            yield close()
            start, held, tail = start + len(held), [], []
        held.append(item)
        if len(held) == window:
            restored = _fade(tail, restore(held))
            keep = window - overlap
            yield Restored(restored[:keep], *((start, keep) if overlap else (start + window, 0)))
            start, held, tail = start + keep, held[keep:], restored[keep:]
    if held:
        yield close()


def restore_stream(
    frames: Iterable[np.ndarray],
    restore: Callable[[np.ndarray], np.ndarray],
    window: int,
    overlap: int,
) -> Iterator[np.ndarray]:
    """`restore_windows` for plain frames: restored frames (H, W, 3), one by one.

    Args:
        frames: (H, W, 3) uint8 each.
        restore: maps (F, H, W, 3) uint8 to the same shape and type.
        window: frames restored at once.
        overlap: frames shared by two windows.
    """
    for part in restore_windows(frames, lambda held: list(restore(np.stack(held))), window, overlap):
        yield from part.frames


def _fade(tail: Sequence[np.ndarray], restored: list[np.ndarray]) -> list[np.ndarray]:
    """Blend the earlier window's last frames into the later window's first ones."""
    blended = []
    for index, (before, after) in enumerate(zip(tail, restored, strict=False)):
        weight = np.float32((index + 1) / (len(tail) + 1))
        blended.append(np.rint(before * (1 - weight) + after * weight).astype(after.dtype))
    return blended + restored[len(tail) :]
