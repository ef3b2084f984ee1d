"""Frames with pixels that are not square, as they are seen."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

# Pixels that are said to be narrower or wider are taken for square.
_MOST = 4


@dataclass(frozen=True)
class Geometry:
    """Stretches frames to square pixels, in which faces have their shape, and brings back what was changed.

    Attributes:
        pixel_aspect: width of a pixel over its height.
    """

    pixel_aspect: Fraction

    @property
    def is_square(self) -> bool:
        """Whether frames stay as they are."""
        return self.pixel_aspect == 1 or not Fraction(1, _MOST) <= self.pixel_aspect <= _MOST

    def stretched(self, pixels: np.ndarray) -> np.ndarray:
        """A frame (H, W, 3) with square pixels: no side becomes shorter."""
        if self.is_square:
            return pixels
        height, width = pixels.shape[:2]
        if self.pixel_aspect > 1:
            width = round(width * self.pixel_aspect)
        else:
            height = round(height / self.pixel_aspect)
        return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC))

    def brought_back(self, original: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """A frame with what was changed in its stretched copy.

        Args:
            original: frame (H, W, 3), uint8 or uint16.
            before: the frame as `stretched` gave it.
            after: the stretched frame, changed.
        """
        if self.is_square:
            return after
        if np.array_equal(before, after):
            return original
        change = after.astype(np.float32) - before
        change = cv2.resize(change, original.shape[1::-1], interpolation=cv2.INTER_AREA)
        peak = np.iinfo(original.dtype).max
        return np.asarray(np.rint(original + change).clip(0, peak).astype(original.dtype))
