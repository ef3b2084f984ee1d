"""One square crop per clip that holds the face in all of its frames (section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# The height of the forehead above the landmarks, as a share of theirs, by their number: iBUG's end at the
# brows, FaceMesh's in the middle of the forehead.
_FOREHEAD = {68: 0.5, 478: 0.27}


@dataclass(frozen=True)
class CropBox:
    """A square of a frame that becomes a crop; it may reach beyond the frame, which is then padded.

    Attributes:
        x: left edge, pixels of the frame.
        y: upper edge, pixels of the frame.
        size: side, pixels of the frame.
    """

    x: float
    y: float
    size: float

    def padding_share(self, *, height: int, width: int) -> float:
        """The share of the square's area that lies outside a frame of this size, in [0, 1]."""
        inside_x = max(0, min(self.x + self.size, width) - max(self.x, 0))
        inside_y = max(0, min(self.y + self.size, height) - max(self.y, 0))
        return 1 - inside_x * inside_y / self.size**2

    def to_crop(self, points: np.ndarray, size: int) -> np.ndarray:
        """Points of the frame as points of the crop of size x size.

        Whole coordinates are pixels' centres, as in dlib and OpenCV.

        Args:
            points: (..., 2) x and y, pixels of the frame.
            size: side of the crop, px.

        Returns:
            (..., 2) float32, pixels of the crop.
        """
        scale = size / self.size
        return ((points - (self.x, self.y) + 0.5) * scale - 0.5).astype(np.float32)

    def transform(self, size: int) -> np.ndarray:
        """The map of `to_crop` as an affine matrix, (2, 3) float64, as OpenCV's warps take it."""
        scale = size / self.size
        shift_x, shift_y = ((0.5 - edge) * scale - 0.5 for edge in (self.x, self.y))
        return np.array([[scale, 0, shift_x], [0, scale, shift_y]], np.float64)


def face_box(box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The box of the whole face, chin to hairline and ear to ear.

    With 68 landmarks it is the union of the detector's box and the landmarks' box, the latter raised by half
    its height, brows to chin: hairline, brows, base of the nose and chin divide a face into thirds. With
    478, which end higher, theirs is raised to the same height. With 5 it is the detector's box, which reaches
    to the hairline (RetinaFace).

    Args:
        box: (..., 4) in pixels.
        landmarks: (..., K, 2) in pixels.

    Returns:
        (..., 4) float32.
    """
    if landmarks.shape[-2] == 5:
        return box.astype(np.float32)
    low, high = landmarks.min(axis=-2), landmarks.max(axis=-2)
    low = low - (high - low) * (0, _FOREHEAD[landmarks.shape[-2]])
    corners = [np.minimum(low, box[..., :2]), np.maximum(high, box[..., 2:])]
    return np.concatenate(corners, axis=-1).astype(np.float32)


def unified_crop(boxes: np.ndarray, *, frame_height: int, frame_width: int, margin: float) -> CropBox:
    """The square that holds all boxes, widened by a margin and shifted into the frame where it fits.

    Boxes are clipped to the frame first. Where the widened square is larger than the frame, the margin yields
    first, down to none: a crop without padding is preferred. What is still larger than the frame is centred
    on it, to be padded.

    Args:
        boxes: (F, 4), x0, y0, x1, y1 in pixels.
        frame_height: height of the frame, px.
        frame_width: width of the frame, px.
        margin: sum of the margins on either side, as a share of the longer side of the boxes' union.

    Returns:
        the square, in whole pixels.
    """
    frame = (frame_width, frame_height)
    x0, y0 = np.clip(boxes[:, :2].min(axis=0), 0, frame)
    x1, y1 = np.clip(boxes[:, 2:].max(axis=0), 0, frame)
    union = float(max(x1 - x0, y1 - y0))
    side = max(union, min(union * (1 + margin), min(frame)))
    size = max(int(np.ceil(side)), 1)
    return CropBox(_place((x0 + x1) / 2, size, frame_width), _place((y0 + y1) / 2, size, frame_height), size)


def crop_frame(frame: np.ndarray, box: CropBox, size: int) -> np.ndarray:
    """Cut a square out of a frame and resize it.

    Areas are averaged when shrinking, which keeps the training clips free of aliasing; growing is bicubic.

    Args:
        frame: (H, W, 3) uint8; its edges are replicated where the square reaches beyond it.
        box: the square, in whole pixels.
        size: side of the crop, px.

    Returns:
        (size, size, 3) uint8.
    """
    height, width = frame.shape[:2]
    left, top, side = int(box.x), int(box.y), int(box.size)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + side, width), min(top + side, height)
    patch = frame[y0:y1, x0:x1]
    borders = (y0 - top, top + side - y1, x0 - left, left + side - x1)
    if any(borders):
        patch = cv2.copyMakeBorder(patch, *borders, cv2.BORDER_REPLICATE)
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(patch, (size, size), interpolation=interpolation))


def _place(centre: float, side: int, limit: int) -> int:
    """The start of a side around a centre, shifted into 0..limit, or centred on that where it is longer."""
    if side >= limit:
        return (limit - side) // 2
    return min(max(round(centre - side / 2), 0), limit - side)
