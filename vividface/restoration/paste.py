"""Restoring the faces of whole frames: each in its own stabilised square crop, pasted back softly."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.base import Face, FaceBackend, Region
from vividface.faces.crops import CropBox, face_box
from vividface.faces.hands import HandFinder
from vividface.faces.pose import head_turn
from vividface.faces.tracking import FaceTracker, interpolate
from vividface.faces.turned import quarter_turns
from vividface.restoration.base import Restorer
from vividface.restoration.grain import LostGrain, measure_grain
from vividface.restoration.occlusion import covered, hand_masks
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
# Degrees before the limit over which a turned face fades out, and the softness of its angle in frames.
_TURN_FADE, _TURN_FRAMES = 10.0, 4.0
# Share of the restoration above which a pixel's grain counts as that of restored ones.
_CORE = 0.9


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
class PastedFaces:
    """A window of frames with its faces restored.

    Attributes:
        frames: frames (H, W, 3); pixels beyond all masks are the original ones.
        has_face: whether a face was restored, for each frame.
        left: reasons for which faces were left alone, for each frame: `small`, `turned`, or
            `good`, where the model changed nothing.
    """

    frames: list[np.ndarray]
    has_face: list[bool]
    left: list[set[str]]


@dataclass(frozen=True)
class _Person:
    """One person's face in successive frames of a window.

    Attributes:
        span: frames of the window.
        boxes: boxes (F, 4) of the whole face, px.
        landmarks: landmarks (F, K, 2), px.
        crop_boxes: crop in each frame.
    """

    span: slice
    boxes: np.ndarray
    landmarks: np.ndarray
    crop_boxes: list[CropBox]

    @property
    def side(self) -> float:
        """Median side of the face, px."""
        return float(np.median((self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1)))


def restore_faces(
    frames: Sequence[FaceFrame],
    restore: Restorer,
    *,
    backend: FaceBackend,
    size: int,
    margin: float,
    min_face: int,
    max_turn: float = 180,
    grain: float = 0,
    hands: HandFinder | None = None,
    regions: Collection[Region] = (Region.FACE, Region.HAIR, Region.NECK),
    people: People | None = None,
) -> PastedFaces:
    """Restore every face of a window of frames.

    Faces are followed over the window. Each gets a square crop that stands still, as in the training clips
    (section 3.3), or moves smoothly along with a face that walks; its crops are restored, and what the
    restoration changed is added to the frames within the parsed face. So a model that changes nothing
    changes no pixel, and a crop larger than `size` loses no detail to the resizing. What lies in front of a
    face stays as it is, and so do faces that are too small or turned too far away.

    Args:
        frames: frames of one shot.
        restore: function of crops (F, size, size, 3) that gives the same shape and type.
        backend: face backend, which tells people apart and parses faces.
        size: side of the crops, px, a multiple of 16.
        margin: sum of the margins around the face, as a share of the face's side.
        min_face: median side below which a face is left alone, px.
        max_turn: angle from the camera at which a face is left alone, degrees; the restoration fades out
            before it.
        grain: strength of the input's grain in restored pixels, 0 to 1.
        hands: networks that find hands in front of faces; None looks for none.
        regions: regions that are pasted back.
        people: people of the video, who say whom to restore and how strongly; None restores everybody.
    """
    pasted = [frame.pixels for frame in frames]
    has_face = [False] * len(frames)
    left: list[set[str]] = [set() for _ in frames]
    tracker = FaceTracker(backend)
    tracker.update([eight_bits(frame.pixels) for frame in frames], [frame.faces for frame in frames])
    tracks = tracker.people()
    if people is not None:
        people.meet(tracks, tracker.identities())
    for number, person in _people(tracks, margin):
        if people is not None and not people.is_restored(number):
            continue
        weights = _facing(person.landmarks, max_turn)
        is_small = person.side < min_face
        for index, weight in zip(range(len(frames))[person.span], weights.tolist(), strict=True):
            has_face[index] |= not is_small and weight > 0
            left[index] |= {"small"} if is_small else {"turned"} if weight == 0 else set()
        if is_small or not weights.any():
            continue
        weights *= _presence(person.span, len(frames))
        crops = np.stack(
            [
                _cut(frame.pixels, box, size)
                for frame, box in zip(frames[person.span], person.crop_boxes, strict=True)
            ]
        )
        restored = _restored(restore, crops, turns=quarter_turns(person.landmarks))
        if np.array_equal(restored, crops):
            for reasons in left[person.span]:
                reasons.add("good")
        faces = _faces_in_crops(person, size)
        if people is not None:
            weights *= people.weights(number, crops, restored, faces, start=person.span.start)
        masks = _masks(backend, crops, faces=faces, regions=regions) * weights.reshape(-1, 1, 1)
        changes = restored.astype(np.float32) - crops
        if hands is not None:
            masks = _without_hands(masks, hands, frames[person.span], person)
        pasted[person.span] = _paste(pasted[person.span], changes, masks, person.crop_boxes)
        if grain:
            pasted[person.span] = _with_grain(
                frames[person.span], pasted[person.span], masks, person.crop_boxes, strength=grain
            )
    return PastedFaces(pasted, has_face, left)


def _people(tracks: Sequence[list[Face | None]], margin: float) -> Iterator[tuple[int, _Person]]:
    """Everybody whose face is seen in enough frames, and the number of the track."""
    for number, faces in enumerate(tracks):
        span = _span(faces)
        if span is not None:
            boxes, landmarks, _ = interpolate(faces[span])
            boxes = face_box(boxes, landmarks)
            yield number, _Person(span, boxes, landmarks, _crop_boxes(boxes, margin))


def _restored(restore: Restorer, crops: np.ndarray, *, turns: int) -> np.ndarray:
    """Restored crops; those of a head that lies on its side are upright on their way through the model."""
    upright = np.ascontiguousarray(np.rot90(crops, turns, axes=(1, 2)))
    return np.rot90(restore(upright), -turns, axes=(1, 2))


def _facing(landmarks: np.ndarray, max_turn: float) -> np.ndarray:
    """How much of the restoration a face's angle allows, (F,) float32: 0 from `max_turn` degrees on."""
    turns = head_turn(landmarks)
    if len(turns) > 1:
        turns = _smoothed(turns, _TURN_FRAMES, straight_on=False)
    return ((max_turn - turns) / _TURN_FADE).clip(0, 1).astype(np.float32)


def _without_hands(
    masks: np.ndarray, finder: HandFinder, frames: Sequence[FaceFrame], person: _Person
) -> np.ndarray:
    hands = hand_masks(
        finder,
        [eight_bits(frame.pixels) for frame in frames],
        indices=[frame.index for frame in frames],
        boxes=person.boxes,
        crop_boxes=person.crop_boxes,
        size=masks.shape[1],
    )
    return masks if hands is None else masks * (1 - hands)


def _paste(
    frames: Sequence[np.ndarray], changes: np.ndarray, masks: np.ndarray, boxes: Sequence[CropBox]
) -> list[np.ndarray]:
    """Frames with the changes (F, size, size, 3) of their crops within masks (F, size, size)."""
    return [
        _add(frame, change * mask[..., None], box)
        for frame, change, mask, box in zip(frames, changes, masks, boxes, strict=True)
    ]


def _with_grain(
    frames: Sequence[FaceFrame],
    pasted: Sequence[np.ndarray],
    masks: np.ndarray,
    boxes: Sequence[CropBox],
    *,
    strength: float,
) -> list[np.ndarray]:
    """Pasted frames with the grain around and in a face put back where the restoration removed it."""
    height, width = pasted[0].shape[:2]
    left, top, right, bottom = _around(boxes, height=height, width=width)
    part = (slice(top, bottom), slice(left, right))
    grain = measure_grain([frame.pixels[part] for frame in frames])
    if grain is None or not grain.luma:
        return list(pasted)
    shares = [_placed(mask, box, (left, top, right, bottom)) for mask, box in zip(masks, boxes, strict=True)]
    restored = measure_grain([frame[part] for frame in pasted], [share > _CORE for share in shares])
    if restored is None:
        return list(pasted)
    lost = LostGrain(grain, restored)
    results = []
    for frame, before, share in zip(frames, pasted, shares, strict=True):
        result = before.copy()
        result[part] = lost.add(before[part], share, index=frame.index, corner=(top, left), strength=strength)
        results.append(result)
    return results


def _around(boxes: Sequence[CropBox], *, height: int, width: int) -> tuple[int, int, int, int]:
    """The part of a frame that holds crops: left, upper, right and lower edge, px."""
    left, top = (max(int(np.floor(min(edges))), 0) for edges in ([b.x for b in boxes], [b.y for b in boxes]))
    right = min(int(np.ceil(max(box.x + box.size for box in boxes))), width)
    bottom = min(int(np.ceil(max(box.y + box.size for box in boxes))), height)
    return left, top, max(right, left), max(bottom, top)


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
    edges = _around([box], height=frame.shape[0], width=frame.shape[1])
    left, top, right, bottom = edges
    if right <= left or bottom <= top:
        return frame
    result = frame.copy()
    region = result[top:bottom, left:right]
    peak = np.iinfo(frame.dtype).max
    region[:] = np.rint((region + _placed(change, box, edges)).clip(0, peak)).astype(frame.dtype)
    return result


def _placed(values: np.ndarray, box: CropBox, edges: tuple[int, int, int, int]) -> np.ndarray:
    """Values (size, size, ...) of a crop in a part of the frame, which has four edges; 0 around the crop."""
    left, top, right, bottom = edges
    size = values.shape[0]
    if size > box.size:
        values = cv2.GaussianBlur(values, (0, 0), _blur(size / box.size))
    to_frame = cv2.invertAffineTransform(CropBox(box.x - left, box.y - top, box.size).transform(size))
    return np.asarray(
        cv2.warpAffine(
            values,
            to_frame,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )
    )


def _blur(factor: float) -> float:
    """The standard deviation, px, of the blur before an image is shrunk by a factor."""
    return float(0.5 * np.sqrt(factor**2 - 1) + 1e-3)


def _faces_in_crops(person: _Person, size: int) -> list[Face]:
    """The faces of the frames in pixels of their crops."""
    faces = []
    for box, points, crop_box in zip(person.boxes, person.landmarks, person.crop_boxes, strict=True):
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
    """Soft masks of the crops, (F, size, size) float32 in [0, 1]; 0 at their borders and on what covers."""
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
    masks *= 1 - covered(parsed, regions)
    return masks


def _presence(span: slice, length: int) -> np.ndarray:
    """How much of a face that comes or goes within the window is shown, (F,) float32."""
    count = span.stop - span.start
    ones = np.ones(count, np.float32)
    steps = (np.arange(count) + 1) / (_FADE + 1)
    come = steps.clip(0, 1) if span.start > 0 else ones
    go = steps[::-1].clip(0, 1) if span.stop < length else ones
    return np.minimum(come, go).astype(np.float32)
