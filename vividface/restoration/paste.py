"""Restoring the faces of whole frames: each in its own stabilised square crop, pasted back softly."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vividface.faces.base import Face, FaceBackend, Region
from vividface.faces.crops import CropBox
from vividface.faces.hands import HandFinder
from vividface.restoration.base import Restorer
from vividface.restoration.cutting import (
    CutFace,
    FaceFrame,
    blur_before_shrinking,
    cut_faces,
    follow_faces,
    smoothed,
)
from vividface.restoration.grain import LostGrain, measure_grain
from vividface.restoration.occlusion import covered, hand_masks
from vividface.restoration.people import People
from vividface.video import eight_bits

# Softness of the mask's edge as a share of the crop's side, and along time in frames (standard deviations).
_SOFT = 0.03
_SOFT_FRAMES = 1.0
# Share of the restoration above which a pixel's grain counts as that of restored ones.
_CORE = 0.9

# A function of restored and degraded frames that corrects the restored ones.
Correction = Callable[[np.ndarray, np.ndarray], np.ndarray]


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


class RestoredFace:
    """A face that the model has restored; what else is done to its crops waits until they are asked for.

    Args:
        face: the face, with its crops.
        restore: function of crops (F, size, size, 3) that gives the same shape and type; those of a head that
            lies on its side are upright on their way through it.
        correct: correction of the restored crops.
        people: people of the video, who say how strongly; None restores everybody alike.
    """

    def __init__(
        self,
        face: CutFace,
        restore: Restorer,
        *,
        correct: Correction = lambda restored, _: restored,
        people: People | None = None,
    ) -> None:
        self.face, self.weights = face, face.facing * face.presence
        if face.crops is None:
            return
        self._correct = correct
        self._upright = np.ascontiguousarray(np.rot90(face.crops, face.quarter_turns, axes=(1, 2)))
        self._restored = restore(self._upright)
        if people is not None:
            faces = face.faces_in_crops()
            self.weights *= people.weights(face.number, face.crops, self.crops, faces, start=face.span.start)

    @cached_property
    def crops(self) -> np.ndarray:
        """The restored crops, (F, size, size, 3)."""
        corrected = self._correct(self._restored, self._upright)
        return np.rot90(corrected, -self.face.quarter_turns, axes=(1, 2))


class FacePaste:
    """A window of frames that restored faces are pasted into.

    What the restoration changed is added to the frames within the parsed face. So a model that changes
    nothing changes no pixel, and a crop larger than `size` loses no detail to the resizing.

    Args:
        frames: frames of one shot.
        backend: face backend, which parses faces.
        grain: strength of the input's grain in restored pixels, 0 to 1.
        hands: networks that find hands in front of faces; None looks for none.
        regions: regions that are pasted back.

    Attributes:
        result: the frames, with the faces so far.
    """

    def __init__(
        self,
        frames: Sequence[FaceFrame],
        *,
        backend: FaceBackend,
        grain: float = 0,
        hands: HandFinder | None = None,
        regions: Collection[Region] = (Region.FACE, Region.HAIR, Region.NECK),
    ) -> None:
        self._frames, self._backend = frames, backend
        self._grain, self._hands, self._regions = grain, hands, regions
        pasted = [frame.pixels for frame in frames]
        self.result = PastedFaces(pasted, [False] * len(frames), [set() for _ in frames])

    def add(self, restored: RestoredFace) -> None:
        """Paste a face."""
        face = restored.face
        has_face, left = self.result.has_face, self.result.left
        for index, weight in zip(range(len(has_face))[face.span], face.facing.tolist(), strict=True):
            has_face[index] |= not face.is_small and weight > 0
            left[index] |= {"small"} if face.is_small else {"turned"} if weight == 0 else set()
        if face.crops is None:
            return
        if np.array_equal(restored.crops, face.crops):
            for reasons in left[face.span]:
                reasons.add("good")
        masks = _masks(self._backend, face.crops, faces=face.faces_in_crops(), regions=self._regions)
        masks = masks * restored.weights.reshape(-1, 1, 1)
        frames = self._frames[face.span]
        if self._hands is not None:
            masks = _without_hands(masks, self._hands, frames, face)
        pasted = [
            _add(frame, (new.astype(np.float32) - old) * mask[..., None], box)
            for frame, old, new, mask, box in zip(
                self.result.frames[face.span], face.crops, restored.crops, masks, face.crop_boxes, strict=True
            )
        ]
        if self._grain:
            pasted = _with_grain(frames, pasted, masks, face.crop_boxes, strength=self._grain)
        self.result.frames[face.span] = pasted


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
    """Restore every face of a window of frames, one after the other.

    Faces are followed over the window. Each gets a square crop that stands still, as in the training clips
    (section 3.3), or moves smoothly along with a face that walks; its crops are restored and pasted back.
    What lies in front of a face stays as it is, and so do faces that are too small or turned too far away.

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
    followed = follow_faces(frames, backend)
    if people is not None:
        people.meet(followed.tracks, followed.identities())
    paste = FacePaste(frames, backend=backend, grain=grain, hands=hands, regions=regions)
    faces = cut_faces(frames, followed, size=size, margin=margin, min_face=min_face, max_turn=max_turn)
    for face in faces:
        if people is None or people.is_restored(face.number):
            paste.add(RestoredFace(face, restore, people=people))
    return paste.result


def _without_hands(
    masks: np.ndarray, finder: HandFinder, frames: Sequence[FaceFrame], face: CutFace
) -> np.ndarray:
    hands = hand_masks(
        finder,
        [eight_bits(frame.pixels) for frame in frames],
        indices=[frame.index for frame in frames],
        boxes=face.boxes,
        crop_boxes=face.crop_boxes,
        size=masks.shape[1],
    )
    return masks if hands is None else masks * (1 - hands)


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
        values = cv2.GaussianBlur(values, (0, 0), blur_before_shrinking(size / box.size))
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
        masks = smoothed(masks, _SOFT_FRAMES, straight_on=False)
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) / (2 * sigma)
    ramp = distance.clip(0, 1).astype(np.float32)
    masks *= np.minimum(ramp[:, None], ramp)
    masks *= 1 - covered(parsed, regions)
    return masks
