"""Long videos in constant memory: overlapping windows of frames, blended where they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np


def restore_stream(
    frames: Iterable[np.ndarray],
    restore: Callable[[np.ndarray], np.ndarray],
    window: int,
    overlap: int,
) -> Iterator[np.ndarray]:
    """Restore a stream of frames window by window.

    Consecutive windows share `overlap` frames, over which the restored frames are faded linearly from the
    earlier window to the later one, so that no seam is visible. At most one window is held in memory.

    Args:
        frames: (H, W, 3) uint8 each.
        restore: maps (F, H, W, 3) uint8 to the same shape and type.
        window: frames restored at once.
        overlap: frames shared by two windows; less than `window`.

    Yields:
        as many frames as were given, in order.
    """
    source = iter(frames)
    pending: list[np.ndarray] = []
    tail: np.ndarray | None = None
    while True:
        fresh = window - len(pending)
        pending += [frame for _, frame in zip(range(fresh), source, strict=False)]
        ended = len(pending) < window
        if tail is not None and len(pending) == len(tail):
            yield from tail
            return
        if not pending:
            return
        restored = restore(np.stack(pending))
        if tail is not None:
            restored = _fade(tail, restored)
        if ended or not overlap:
            yield from restored
            tail = None
        else:
            yield from restored[:-overlap]
            tail = restored[-overlap:]
        if ended:
            return
        pending = pending[-overlap:] if overlap else []


def _fade(tail: np.ndarray, restored: np.ndarray) -> np.ndarray:
    """Blend the earlier window's last frames into the later window's first ones."""
    count = len(tail)
    weight = (np.arange(1, count + 1, dtype=np.float32) / (count + 1)).reshape(-1, 1, 1, 1)
    blended = tail * (1 - weight) + restored[:count] * weight
    return np.concatenate([np.rint(blended).astype(np.uint8), restored[count:]])
