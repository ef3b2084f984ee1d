"""Restoring the faces of whole frames: each in its own stabilised square window, pasted back softly."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.backend import Face, FaceBackend, Region
from vividface.faces.tracking import FaceTracker, interpolate
from vividface.faces.windows import face_box
from vividface.video import eight_bits

# A face that was found in fewer frames, or a smaller share of those between its first and last, is none.
_LEAST_FRAMES = 3
_LEAST_SHARE = 0.5
# A window stands still while the face's way through it is shorter than this, as a share of the face's side.
_STILL = 0.5
# A window that follows a face moves as smoothly as this, in frames (standard deviation).
_SMOOTH = 8.0
# Frames over which a face that comes or goes is faded in or out.
_FADE = 4
# Softness of the mask's edge as a share of the window's side, and along time in frames (standard deviations).
_SOFT = 0.03
_SOFT_FRAMES = 1.0


@dataclass(frozen=True)
class Frame:
    """A frame that is to be restored.

    Attributes:
        pixels: (H, W, 3), uint8 or uint16, RGB.
        faces: those found in it.
    """

    pixels: np.ndarray
    faces: list[Face]


@dataclass(frozen=True)
class PastedFaces:
    """What came out of a window of frames.

    Attributes:
        frames: (H, W, 3) each; pixels beyond all masks are those that came in.
        with_face: whether a face was restored in each.
    """

    frames: list[np.ndarray]
    with_face: list[bool]


def restore_faces(
    frames: Sequence[Frame],
    restore: Callable[[np.ndarray], np.ndarray],
    backend: FaceBackend,
    size: int,
    margin: float,
    min_face: int,
    regions: Collection[Region] = (Region.FACE, Region.HAIR, Region.NECK),
) -> PastedFaces:
    """Restore every face of a window of frames.

    Faces are followed over the window. Each gets a square window that stands still, as in the training clips
    (section 3.3), or moves smoothly along with a face that walks; its crops are restored, and what the
    restoration changed is added to the frames within the parsed face. So a model that changes nothing
    changes no pixel, and a window larger than `size` loses no detail to the resizing.

    Args:
        frames: of one shot.
        restore: maps crops (F, size, size, 3) to the same shape and type.
        backend: tells people apart and parses faces.
        size: side of the crops, a multiple of 16.
        margin: of the window around the face, as a share of the face's side, in all.
        min_face: px, median side below which a face is left alone.
        regions: what is pasted back.
    """
    tracker = FaceTracker(backend)
    tracker.update([eight_bits(frame.pixels) for frame in frames], [frame.faces for frame in frames])
    pasted = [frame.pixels for frame in frames]
    touched = [False] * len(frames)
    for person in tracker.people():
        span = _span(person)
        if span is None:
            continue
        boxes, landmarks, _ = interpolate(person[span])
        boxes = face_box(boxes, landmarks)
        if float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1))) < min_face:
            continue
        squares = _squares(boxes, margin)
        crops = np.stack(
            [_cut(frame.pixels, *square, size) for frame, square in zip(frames[span], squares, strict=True)]
        )
        changes = restore(crops).astype(np.float32) - crops
        masks = _masks(backend, crops, boxes, landmarks, squares, regions)
        masks *= _presence(span, len(frames)).reshape(-1, 1, 1)
        for offset, index in enumerate(range(span.start, span.stop)):
            pasted[index] = _add(pasted[index], changes[offset] * masks[offset, ..., None], *squares[offset])
            touched[index] = True
    return PastedFaces(pasted, touched)


def _span(person: list[Face | None]) -> slice | None:
    """From the first to the last frame in which a person was found; None if that was too seldom."""
    found = [index for index, face in enumerate(person) if face is not None]
    length = found[-1] - found[0] + 1
    least = min(_LEAST_FRAMES, len(person))
    if len(found) < least or len(found) < _LEAST_SHARE * length:
        return None
    return slice(found[0], found[-1] + 1)


def _squares(boxes: np.ndarray, margin: float) -> list[tuple[float, float, float]]:
    """Centre x, y and side of the window in each frame, in pixels."""
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    union = float((high - low).max())
    if union <= (1 + _STILL) * float(sides.max()):
        # Whole pixels: a window that stands still is not resampled between them.
        side = float(np.ceil(union * (1 + margin)))
        centre = np.floor((low + high - side) / 2) + side / 2
        return [(float(centre[0]), float(centre[1]), side)] * len(boxes)
    centres = _smoothed((boxes[:, :2] + boxes[:, 2:]) / 2, _SMOOTH, straight_on=True)
    reach = np.abs(boxes - np.tile(centres, 2)).max()
    side = float(np.ceil(2 * reach * (1 + margin)))
    return [(float(x), float(y), side) for x, y in centres]


def _smoothed(values: np.ndarray, sigma: float, straight_on: bool) -> np.ndarray:
    """(F, ...) blurred along time by a Gaussian; the ends are continued straight on, or by their values."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    width = [(reach, reach)] + [(0, 0)] * (values.ndim - 1)
    if straight_on:
        padded = np.pad(values, width, mode="reflect", reflect_type="odd")
    else:
        padded = np.pad(values, width, mode="edge")
    blurred = np.zeros(values.shape, np.float64)
    for offset, weight in enumerate(kernel):
        blurred += weight * padded[offset : offset + len(values)]
    return blurred.astype(values.dtype)


def _to_crop(x: float, y: float, side: float, size: int) -> np.ndarray:
    """The affine map from a frame's pixels to those of a window's crop, (2, 3)."""
    scale = size / side
    # Whole coordinates are pixels' centres.
    shift = [(0.5 - (centre - side / 2)) * scale - 0.5 for centre in (x, y)]
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)


def _cut(frame: np.ndarray, x: float, y: float, side: float, size: int) -> np.ndarray:
    """A window's crop; beyond the frame its edges are continued."""
    shrink = side / size
    if shrink > 1:
        # An affine map takes single pixels, so what a smaller crop cannot show is blurred away before.
        left, top = (int(np.floor(centre - side / 2 - 8)) for centre in (x, y))
        right, bottom = (int(np.ceil(centre + side / 2 + 8)) for centre in (x, y))
        left, top = max(left, 0), max(top, 0)
        frame = cv2.GaussianBlur(frame[top:bottom, left:right], (0, 0), 0.5 * np.sqrt(shrink**2 - 1) + 1e-3)
        x, y = x - left, y - top
    return np.asarray(
        cv2.warpAffine(
            frame,
            _to_crop(x, y, side, size),
            (size, size),
            flags=cv2.INTER_LINEAR if shrink > 1 else cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _add(frame: np.ndarray, change: np.ndarray, x: float, y: float, side: float) -> np.ndarray:
    """A frame with the change of a window's crop, (size, size, 3) float32, added to it."""
    size = change.shape[0]
    height, width = frame.shape[:2]
    left, top = max(int(np.floor(x - side / 2)), 0), max(int(np.floor(y - side / 2)), 0)
    right, bottom = min(int(np.ceil(x + side / 2)), width), min(int(np.ceil(y + side / 2)), height)
    if right <= left or bottom <= top:
        return frame
    if size > side:
        change = cv2.GaussianBlur(change, (0, 0), 0.5 * np.sqrt((size / side) ** 2 - 1) + 1e-3)
    to_frame = cv2.invertAffineTransform(_to_crop(x - left, y - top, side, size))
    placed = cv2.warpAffine(
        change, to_frame, (right - left, bottom - top), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    result = frame.copy()
    region = result[top:bottom, left:right]
    peak = np.iinfo(frame.dtype).max
    region[:] = np.rint((region + placed).clip(0, peak)).astype(frame.dtype)
    return result


def _masks(
    backend: FaceBackend,
    crops: np.ndarray,
    boxes: np.ndarray,
    landmarks: np.ndarray,
    squares: list[tuple[float, float, float]],
    regions: Collection[Region],
) -> np.ndarray:
    """Soft masks of the crops, (F, size, size) float32 in [0, 1]; 0 at their borders."""
    size = crops.shape[1]
    faces = []
    for box, points, square in zip(boxes, landmarks, squares, strict=True):
        to_crop = _to_crop(*square, size)
        corners, moved = (
            (part @ to_crop[:, :2].T + to_crop[:, 2]).astype(np.float32)
            for part in (box.reshape(2, 2), points)
        )
        faces.append(Face(corners.ravel(), moved, 1.0))
    parsed = backend.parse([eight_bits(crop) for crop in crops], faces)
    masks = np.isin(parsed, [int(region) for region in regions]).astype(np.float32)
    sigma = _SOFT * size
    grown = np.ones((2 * round(sigma) + 1,) * 2, np.uint8)
    masks = np.stack([cv2.GaussianBlur(cv2.dilate(mask, grown), (0, 0), sigma) for mask in masks])
    if len(masks) > 1:
        masks = _smoothed(masks, _SOFT_FRAMES, straight_on=False)
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) / (2 * sigma)
    ramp = distance.clip(0, 1).astype(np.float32)
    return masks * np.minimum(ramp[:, None], ramp)


def _presence(span: slice, length: int) -> np.ndarray:
    """How much of a face that comes or goes within the window is shown, (F,) float32."""
    count = span.stop - span.start
    ones = np.ones(count, np.float32)
    steps = (np.arange(count) + 1) / (_FADE + 1)
    come = steps.clip(0, 1) if span.start > 0 else ones
    go = steps[::-1].clip(0, 1) if span.stop < length else ones
    return np.minimum(come, go).astype(np.float32)
