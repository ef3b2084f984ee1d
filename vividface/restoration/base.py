"""The interfaces of functions that restore frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

# Maps frames (F, H, W, 3), uint8 or uint16, RGB, to restored frames of the same shape and type.
Restorer = Callable[[np.ndarray], np.ndarray]


class StrengthRestorer(Protocol):
    """A restorer of any strength: the keyword is only given where the strength is not 1."""

    def __call__(self, frames: np.ndarray, *, strength: float = 1) -> np.ndarray:
        """Restore frames.

        Args:
            frames: (F, H, W, 3) uint8 or uint16, RGB.
            strength: share of the change that is applied, in [0, 1]; 0 gives the frames bit for bit.

        Returns:
            frames of the same shape and type.
        """
