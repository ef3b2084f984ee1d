"""One square window per clip that holds the face in all of its frames (section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# The forehead's height as a share of the distance from brows to chin, where landmarks and detector's box end.
_FOREHEAD = 0.5


@dataclass(frozen=True)
class Window:
    """A square in a frame's pixels; it may reach beyond the frame, which is then padded."""

    x: int
    y: int
    size: int

    def padding_share(self, height: int, width: int) -> float:
        """The share of the window's area that lies outside a frame of this size, in [0, 1]."""
        inside_x = max(0, min(self.x + self.size, width) - max(self.x, 0))
        inside_y = max(0, min(self.y + self.size, height) - max(self.y, 0))
        return 1 - inside_x * inside_y / self.size**2


def face_box(box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The box of the whole face, chin to hairline and ear to ear.

    With 68 landmarks it is the union of the detector's box and the landmarks' box, the latter raised by half
    its height, brows to chin: hairline, brows, base of the nose and chin divide a face into thirds. With 5 it
    is the detector's box, which reaches to the hairline (RetinaFace).

    Args:
        box: (..., 4) in pixels.
        landmarks: (..., K, 2) in pixels.

    Returns:
        (..., 4) float32.
    """
    if landmarks.shape[-2] != 68:
        return box.astype(np.float32)
    low, high = landmarks.min(axis=-2), landmarks.max(axis=-2)
    low = low - (high - low) * (0, _FOREHEAD)
    corners = [np.minimum(low, box[..., :2]), np.maximum(high, box[..., 2:])]
    return np.concatenate(corners, axis=-1).astype(np.float32)


def unified_window(boxes: np.ndarray, frame_height: int, frame_width: int, margin: float) -> Window:
    """The square that holds every box, widened by a margin and shifted into the frame where it fits.

    What lies outside the frame counts for nothing. Where the widened square is larger than the frame, the
    margin yields first, down to none: a window without padding is preferred. What is still larger than the
    frame is centred on it, to be padded.

    Args:
        boxes: (F, 4), x0, y0, x1, y1 in pixels.
        frame_height: in pixels.
        frame_width: in pixels.
        margin: added in all, half on either side, as a share of the longer side of the boxes' union.
    """
    frame = (frame_width, frame_height)
    x0, y0 = np.clip(boxes[:, :2].min(axis=0), 0, frame)
    x1, y1 = np.clip(boxes[:, 2:].max(axis=0), 0, frame)
    union = float(max(x1 - x0, y1 - y0))
    side = max(union, min(union * (1 + margin), min(frame)))
    size = max(int(np.ceil(side)), 1)
    return Window(_place((x0 + x1) / 2, size, frame_width), _place((y0 + y1) / 2, size, frame_height), size)


def crop(frame: np.ndarray, window: Window, size: int) -> np.ndarray:
    """Cut a window out of a frame (H, W, 3), replicating its edges beyond it, and resize it to size x size.

    Resized by averaging areas when shrinking, bicubically when growing.
    """
    height, width = frame.shape[:2]
    x0, y0 = max(window.x, 0), max(window.y, 0)
    x1, y1 = min(window.x + window.size, width), min(window.y + window.size, height)
    patch = frame[y0:y1, x0:x1]
    borders = (y0 - window.y, window.y + window.size - y1, x0 - window.x, window.x + window.size - x1)
    if any(borders):
        patch = cv2.copyMakeBorder(patch, *borders, cv2.BORDER_REPLICATE)
    interpolation = cv2.INTER_AREA if window.size > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(patch, (size, size), interpolation=interpolation))


def to_crop(landmarks: np.ndarray, window: Window, size: int) -> np.ndarray:
    """Landmarks (..., 2) in pixels of the frame as float32 pixels of the window's crop of size x size.

    Whole coordinates are pixels' centres, as dlib and OpenCV have them.
    """
    scale = size / window.size
    return ((landmarks - (window.x, window.y) + 0.5) * scale - 0.5).astype(np.float32)


def _place(centre: float, side: int, limit: int) -> int:
    start = round(centre - side / 2)
    if side >= limit:
        return (limit - side) // 2
    return min(max(start, 0), limit - side)
