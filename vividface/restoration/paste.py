"""Restoring the faces of whole frames: each in its own stabilised square crop, pasted back softly."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.base import Face, FaceBackend, Region
from vividface.faces.crops import CropBox, face_box
from vividface.faces.tracking import FaceTracker, interpolate
from vividface.restoration.base import Restorer
from vividface.restoration.people import People
from vividface.video import eight_bits

# A face that was found in fewer frames, or a smaller share of those between its first and last, is none.
_LEAST_FRAMES = 3
_LEAST_SHARE = 0.5
# A crop stands still while the face's way through it is shorter than this, as a share of the face's side.
_STILL = 0.5
# A crop that follows a face moves as smoothly as this, in frames (standard deviation).
_SMOOTH = 8.0
# Frames over which a face that comes or goes is faded in or out.
_FADE = 4
# Softness of the mask's edge as a share of the crop's side, and along time in frames (standard deviations).
_SOFT = 0.03
_SOFT_FRAMES = 1.0


@dataclass(frozen=True)
class FaceFrame:
    """A frame and its faces.

    Attributes:
        pixels: frame (H, W, 3), uint8 or uint16, RGB.
        faces: faces of the frame.
    """

    pixels: np.ndarray
    faces: list[Face]


@dataclass(frozen=True)
class PastedFaces:
    """A window of frames with its faces restored.

    Attributes:
        frames: frames (H, W, 3); pixels beyond all masks are the original ones.
        has_face: whether a face was restored, for each frame.
    """

    frames: list[np.ndarray]
    has_face: list[bool]


def restore_faces(
    frames: Sequence[FaceFrame],
    restore: Restorer,
    *,
    backend: FaceBackend,
    size: int,
    margin: float,
    min_face: int,
    regions: Collection[Region] = (Region.FACE, Region.HAIR, Region.NECK),
    people: People | None = None,
) -> PastedFaces:
    """Restore every face of a window of frames.

    Faces are followed over the window. Each gets a square crop that stands still, as in the training clips
    (section 3.3), or moves smoothly along with a face that walks; its crops are restored, and what the
    restoration changed is added to the frames within the parsed face. So a model that changes nothing
    changes no pixel, and a crop larger than `size` loses no detail to the resizing.

    Args:
        frames: frames of one shot.
        restore: function of crops (F, size, size, 3) that gives the same shape and type.
        backend: face backend, which tells people apart and parses faces.
        size: side of the crops, px, a multiple of 16.
        margin: sum of the margins around the face, as a share of the face's side.
        min_face: median side below which a face is left alone, px.
        regions: regions that are pasted back.
        people: people of the video, who say whom to restore and how strongly; None restores everybody.
    """
    tracker = FaceTracker(backend)
    tracker.update([eight_bits(frame.pixels) for frame in frames], [frame.faces for frame in frames])
    pasted = [frame.pixels for frame in frames]
    has_face = [False] * len(frames)
    tracks = tracker.people()
    if people is not None:
        people.meet(tracks, tracker.identities())
    for number, person in enumerate(tracks):
        span = _span(person)
        if span is None or (people is not None and not people.is_restored(number)):
            continue
        boxes, landmarks, _ = interpolate(person[span])
        boxes = face_box(boxes, landmarks)
        if float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1))) < min_face:
            continue
        crop_boxes = _crop_boxes(boxes, margin)
        cut = [_cut(frame.pixels, box, size) for frame, box in zip(frames[span], crop_boxes, strict=True)]
        crops = np.stack(cut)
        restored = restore(crops)
        faces = _faces_in_crops(boxes, landmarks, crop_boxes, size)
        masks = _masks(backend, crops, faces=faces, regions=regions)
        masks *= _presence(span, len(frames)).reshape(-1, 1, 1)
        if people is not None:
            masks *= people.weights(number, crops, restored, faces, start=span.start).reshape(-1, 1, 1)
        changes = restored.astype(np.float32) - crops
        for offset, index in enumerate(range(span.start, span.stop)):
            change = changes[offset] * masks[offset, ..., None]
            pasted[index] = _add(pasted[index], change, crop_boxes[offset])
            has_face[index] = True
    return PastedFaces(pasted, has_face)


def _span(person: list[Face | None]) -> slice | None:
    """From the first to the last frame in which a person was found; None if that was too seldom."""
    indices = [index for index, face in enumerate(person) if face is not None]
    length = indices[-1] - indices[0] + 1
    least = min(_LEAST_FRAMES, len(person))
    if len(indices) < least or len(indices) < _LEAST_SHARE * length:
        return None
    return slice(indices[0], indices[-1] + 1)


def _crop_boxes(boxes: np.ndarray, margin: float) -> list[CropBox]:
    """The crop in each frame, around boxes (F, 4) in pixels."""
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    union = float((high - low).max())
    if union <= (1 + _STILL) * float(sides.max()):
        # Whole pixels: a crop that stands still is not resampled between them.
        side = float(np.ceil(union * (1 + margin)))
        x, y = (float(edge) for edge in np.floor((low + high - side) / 2))
        return [CropBox(x, y, side)] * len(boxes)
    centres = _smoothed((boxes[:, :2] + boxes[:, 2:]) / 2, _SMOOTH, straight_on=True)
    reach = np.abs(boxes - np.tile(centres, 2)).max()
    side = float(np.ceil(2 * reach * (1 + margin)))
    return [CropBox(float(x) - side / 2, float(y) - side / 2, side) for x, y in centres]


def _smoothed(values: np.ndarray, sigma: float, *, straight_on: bool) -> np.ndarray:
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


def _cut(frame: np.ndarray, box: CropBox, size: int) -> np.ndarray:
    """A crop of size x size; beyond the frame its edges are continued."""
    # Training crops (`crop_frame`) stand on whole pixels, are never put back, and average areas. These may
    # lie between pixels and are put back, so they take the affine map, which has an inverse.
    shrink = box.size / size
    if shrink > 1:
        # An affine map takes single pixels, so what a smaller crop cannot show is blurred away before.
        left, top = max(int(np.floor(box.x - 8)), 0), max(int(np.floor(box.y - 8)), 0)
        right, bottom = int(np.ceil(box.x + box.size + 8)), int(np.ceil(box.y + box.size + 8))
        frame = cv2.GaussianBlur(frame[top:bottom, left:right], (0, 0), _blur(shrink))
        box = CropBox(box.x - left, box.y - top, box.size)
    return np.asarray(
        cv2.warpAffine(
            frame,
            box.transform(size),
            (size, size),
            flags=cv2.INTER_LINEAR if shrink > 1 else cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _add(frame: np.ndarray, change: np.ndarray, box: CropBox) -> np.ndarray:
    """A frame with the change of a crop, (size, size, 3) float32, added to it."""
    size = change.shape[0]
    height, width = frame.shape[:2]
    left, top = max(int(np.floor(box.x)), 0), max(int(np.floor(box.y)), 0)
    right = min(int(np.ceil(box.x + box.size)), width)
    bottom = min(int(np.ceil(box.y + box.size)), height)
    if right <= left or bottom <= top:
        return frame
    if size > box.size:
        change = cv2.GaussianBlur(change, (0, 0), _blur(size / box.size))
    to_frame = cv2.invertAffineTransform(CropBox(box.x - left, box.y - top, box.size).transform(size))
    placed = cv2.warpAffine(
        change, to_frame, (right - left, bottom - top), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    result = frame.copy()
    region = result[top:bottom, left:right]
    peak = np.iinfo(frame.dtype).max
    region[:] = np.rint((region + placed).clip(0, peak)).astype(frame.dtype)
    return result


def _blur(factor: float) -> float:
    """The standard deviation, px, of the blur before an image is shrunk by a factor."""
    return float(0.5 * np.sqrt(factor**2 - 1) + 1e-3)


def _faces_in_crops(
    boxes: np.ndarray, landmarks: np.ndarray, crop_boxes: list[CropBox], size: int
) -> list[Face]:
    """The faces of the frames in pixels of their crops."""
    faces = []
    for box, points, crop_box in zip(boxes, landmarks, crop_boxes, strict=True):
        to_crop = crop_box.transform(size)
        corners, moved = (
            (part @ to_crop[:, :2].T + to_crop[:, 2]).astype(np.float32)
            for part in (box.reshape(2, 2), points)
        )
        faces.append(Face(corners.ravel(), moved, 1.0))
    return faces


def _masks(
    backend: FaceBackend, crops: np.ndarray, *, faces: list[Face], regions: Collection[Region]
) -> np.ndarray:
    """Soft masks of the crops, (F, size, size) float32 in [0, 1]; 0 at their borders."""
    size = crops.shape[1]
    parsed = backend.parse([eight_bits(crop) for crop in crops], faces)
    masks = np.isin(parsed, [int(region) for region in regions]).astype(np.float32)
    sigma = _SOFT * size
    grown = np.ones((2 * round(sigma) + 1,) * 2, np.uint8)
    masks = np.stack([cv2.GaussianBlur(cv2.dilate(mask, grown), (0, 0), sigma) for mask in masks])
    if len(masks) > 1:
        masks = _smoothed(masks, _SOFT_FRAMES, straight_on=False)
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) / (2 * sigma)
    ramp = distance.clip(0, 1).astype(np.float32)
    masks *= np.minimum(ramp[:, None], ramp)
    return masks


def _presence(span: slice, length: int) -> np.ndarray:
    """How much of a face that comes or goes within the window is shown, (F,) float32."""
    count = span.stop - span.start
    ones = np.ones(count, np.float32)
    steps = (np.arange(count) + 1) / (_FADE + 1)
    come = steps.clip(0, 1) if span.start > 0 else ones
    go = steps[::-1].clip(0, 1) if span.stop < length else ones
    return np.minimum(come, go).astype(np.float32)
