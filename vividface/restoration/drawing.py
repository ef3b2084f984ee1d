"""Input and result side by side."""

from __future__ import annotations

import cv2
import numpy as np

from vividface.restoration.transparency import flattened
from vividface.video import eight_bits

# px; below it titles cannot be read.
_LEAST_HEIGHT = 256


def side_by_side(left: np.ndarray, right: np.ndarray, *, titles: tuple[str, str]) -> np.ndarray:
    """Two frames next to each other, enlarged to at least 256 px high.

    Args:
        left: frame (H, W, 3), or (H, W, 4) with alpha, uint8 or uint16.
        right: frame of the same shape.
        titles: titles of the frames.

    Returns:
        (h, 2 w, 3) uint8.
    """
    factor = max(1, -(-_LEAST_HEIGHT // left.shape[0]))
    panels = []
    for frame, title in zip((left, right), titles, strict=True):
        shown = eight_bits(flattened(frame))
        panel = cv2.resize(shown, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(panel, title, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA)
        panels.append(panel)
    return np.concatenate(panels, axis=1)
