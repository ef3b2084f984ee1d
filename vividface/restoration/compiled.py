"""A compiled model among the windows of a video: few shapes, and a word about the time of compiling each."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from vividface.restoration.base import StrengthRestorer

# Takes a line for the user.
Tell = Callable[[str], None]


class CompiledRestorer:
    """A restorer whose first call for a shape takes long, and says so behind it.

    Args:
        restore: restorer, compiled for each shape that it meets.
        tell: function that is called with one line for each shape.
    """

    def __init__(self, restore: StrengthRestorer, tell: Tell) -> None:
        self._restore, self._tell = restore, tell
        self._known: set[tuple[int, ...]] = set()

    def __call__(self, frames: np.ndarray, *, strength: float = 1) -> np.ndarray:
        """See `StrengthRestorer`."""
        # At strength 0 the model is not called.
        if frames.shape in self._known or strength == 0:
            return self._restore(frames, strength=strength)
        started = time.monotonic()
        restored = self._restore(frames, strength=strength)
        self._known.add(frames.shape)
        length, height, width = frames.shape[:3]
        seconds = time.monotonic() - started
        self._tell(f"compiled, with the first {length} frames of {width}x{height}, in {seconds:.0f} s")
        return restored


class FixedLengthRestorer:
    """A restorer that is called with clips of one length, so that it is compiled once.

    Args:
        restore: restorer.
        num_frames: length of the clips; shorter ones are padded by repeating their last frame, and cut back.
    """

    def __init__(self, restore: StrengthRestorer, num_frames: int) -> None:
        self._restore, self._num_frames = restore, num_frames

    def __call__(self, frames: np.ndarray, *, strength: float = 1) -> np.ndarray:
        """See `StrengthRestorer`."""
        missing = max(self._num_frames - len(frames), 0)
        padded = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        return self._restore(padded, strength=strength)[: len(frames)]
