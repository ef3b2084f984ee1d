"""How a video's frames are turned and mirrored when they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to turn and mirror a frame.

    Attributes:
        transposed: whether rows become columns, before the mirroring.
        upside_down: whether the rows are then in reverse order.
        mirrored: whether the columns are then in reverse order.
    """

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    def apply(self, array: np.ndarray) -> np.ndarray:
        """An array (H, W, ...) as it is shown; a view."""
        if self.transposed:
            array = array.swapaxes(0, 1)
        return array[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a stored frame as it is shown."""
        return (height, width) if self.transposed else (width, height)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation of a decoded frame by its display matrix; angles between are taken for the nearest.

    Args:
        frame: decoded frame.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation()
    # Row vectors: a pixel (x, y) is shown at (a x + c y, b x + d y), but for a shift.
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(upside_down=d < 0, mirrored=a < 0)
    return Orientation(transposed=True, upside_down=b < 0, mirrored=c < 0)
