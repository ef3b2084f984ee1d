"""The faces of a window of frames: who is in it, and crops that follow each of them smoothly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.base import Face, FaceBackend
from vividface.faces.crops import CropBox, face_box
from vividface.faces.pose import head_turn
from vividface.faces.tracking import FaceTracker, interpolate
from vividface.faces.turned import quarter_turns
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
# Degrees before the limit over which a turned face fades out, and the softness of its angle in frames.
_TURN_FADE, _TURN_FRAMES = 10.0, 4.0


@dataclass(frozen=True)
class FaceFrame:
    """A frame and its faces.

    Attributes:
        pixels: frame (H, W, 3), uint8 or uint16, RGB.
        faces: faces of the frame.
        index: index of the frame in its video: its grain is drawn from it.
    """

    pixels: np.ndarray
    faces: list[Face]
    index: int = 0


@dataclass(frozen=True)
class FollowedFaces:
    """The people of a window of frames, those with the largest faces first.

    Attributes:
        tracks: face of each person in each frame, None where it was not found.
        identities: function that gives the mean identity of each, (D,) float32, of unit length.
    """

    tracks: list[list[Face | None]]
    identities: Callable[[], list[np.ndarray]]


@dataclass(frozen=True)
class CutFace:
    """One person's face in successive frames of a window, and its crops.

    Attributes:
        number: number of the person in the window.
        span: frames of the window.
        boxes: boxes (F, 4) of the whole face, px.
        landmarks: landmarks (F, K, 2), px.
        crop_boxes: crop in each frame.
        facing: how much of the restoration the face's angle allows, (F,) float32, in [0, 1].
        presence: how much of a face that comes or goes is shown, (F,) float32, in [0, 1].
        is_small: whether it is too small to be restored.
        crops: crops (F, S, S, 3); None where the face is too small, or turned away in all frames.
    """

    number: int
    span: slice
    boxes: np.ndarray
    landmarks: np.ndarray
    crop_boxes: list[CropBox]
    facing: np.ndarray
    presence: np.ndarray
    is_small: bool
    crops: np.ndarray | None

    @property
    def quarter_turns(self) -> int:
        """The quarter turns, counterclockwise, that set the crops upright."""
        return quarter_turns(self.landmarks)

    def faces_in_crops(self) -> list[Face]:
        """The face of each frame in pixels of its crop."""
        assert self.crops is not None
        faces = []
        for box, points, crop_box in zip(self.boxes, self.landmarks, self.crop_boxes, strict=True):
            to_crop = crop_box.transform(self.crops.shape[1])
            corners, moved = (
                (part @ to_crop[:, :2].T + to_crop[:, 2]).astype(np.float32)
                for part in (box.reshape(2, 2), points)
            )
            faces.append(Face(corners.ravel(), moved, 1.0))
        return faces


def follow_faces(frames: Sequence[FaceFrame], backend: FaceBackend) -> FollowedFaces:
    """Follow everybody over a window.

    Args:
        frames: frames of one shot.
        backend: face backend, which tells people apart.
    """
    tracker = FaceTracker(backend)
    tracker.update([eight_bits(frame.pixels) for frame in frames], [frame.faces for frame in frames])
    return FollowedFaces(tracker.people(), tracker.identities)


def cut_faces(
    frames: Sequence[FaceFrame],
    followed: FollowedFaces,
    *,
    size: int,
    margin: float,
    min_face: int,
    max_turn: float,
) -> Iterator[CutFace]:
    """Cut everybody out whose face is seen in enough frames.

    Args:
        frames: frames of one shot.
        followed: their faces.
        size: side of the crops, px.
        margin: sum of the margins around the face, as a share of the face's side.
        min_face: median side below which a face is left alone, px.
        max_turn: angle from the camera at which a face is left alone, degrees; the restoration fades out
            before it.
    """
    for number, faces in enumerate(followed.tracks):
        span = _span(faces)
        if span is None:
            continue
        boxes, landmarks, _ = interpolate(faces[span])
        boxes = face_box(boxes, landmarks)
        crop_boxes = _crop_boxes(boxes, margin)
        facing = _facing(landmarks, max_turn)
        is_small = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1))) < min_face
        crops = None
        if facing.any() and not is_small:
            pairs = zip(frames[span], crop_boxes, strict=True)
            crops = np.stack([_cut(frame.pixels, box, size) for frame, box in pairs])
        yield CutFace(
            number=number,
            span=span,
            boxes=boxes,
            landmarks=landmarks,
            crop_boxes=crop_boxes,
            facing=facing,
            presence=_presence(span, len(frames)),
            is_small=is_small,
            crops=crops,
        )


def smoothed(values: np.ndarray, sigma: float, *, straight_on: bool) -> np.ndarray:
    """Values (F, ...) blurred along time by a Gaussian.

    Args:
        values: values of successive frames.
        sigma: standard deviation, frames.
        straight_on: whether the ends are continued straight on; otherwise by their values.
    """
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


def blur_before_shrinking(factor: float) -> float:
    """The standard deviation, px, of the blur before an image is shrunk by a factor."""
    return float(0.5 * np.sqrt(factor**2 - 1) + 1e-3)


def _facing(landmarks: np.ndarray, max_turn: float) -> np.ndarray:
    """How much of the restoration a face's angle allows, (F,) float32: 0 from `max_turn` degrees on."""
    turns = head_turn(landmarks)
    if len(turns) > 1:
        turns = smoothed(turns, _TURN_FRAMES, straight_on=False)
    return ((max_turn - turns) / _TURN_FADE).clip(0, 1).astype(np.float32)


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
    centres = smoothed((boxes[:, :2] + boxes[:, 2:]) / 2, _SMOOTH, straight_on=True)
    reach = np.abs(boxes - np.tile(centres, 2)).max()
    side = float(np.ceil(2 * reach * (1 + margin)))
    return [CropBox(float(x) - side / 2, float(y) - side / 2, side) for x, y in centres]


def _cut(frame: np.ndarray, box: CropBox, size: int) -> np.ndarray:
    """A crop of size x size; beyond the frame its edges are continued."""
    # Training crops (`crop_frame`) stand on whole pixels, are never put back, and average areas. These may
    # lie between pixels and are put back, so they take the affine map, which has an inverse.
    shrink = box.size / size
    if shrink > 1:
        # An affine map takes single pixels, so what a smaller crop cannot show is blurred away before.
        left, top = max(int(np.floor(box.x - 8)), 0), max(int(np.floor(box.y - 8)), 0)
        right, bottom = int(np.ceil(box.x + box.size + 8)), int(np.ceil(box.y + box.size + 8))
        frame = cv2.GaussianBlur(frame[top:bottom, left:right], (0, 0), blur_before_shrinking(shrink))
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


def _presence(span: slice, length: int) -> np.ndarray:
    """How much of a face that comes or goes within the window is shown, (F,) float32."""
    count = span.stop - span.start
    ones = np.ones(count, np.float32)
    steps = (np.arange(count) + 1) / (_FADE + 1)
    come = steps.clip(0, 1) if span.start > 0 else ones
    go = steps[::-1].clip(0, 1) if span.stop < length else ones
    return np.minimum(come, go).astype(np.float32)
