"""What lies in front of a face: it stays as it is, softly cut out of the mask that is pasted back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.base import Region
from vividface.faces.crops import CropBox
from vividface.faces.hands import FINGERS, MIDDLE, PALM, WRIST, Hand, HandFinder

# Frames from one search for palms to the next; between them a hand that was found is followed.
_EVERY = 4
# Score of a palm that is looked at, presence of a hand that counts, and of one that is followed. The palm
# network takes a face for a hand in a tenth of the frames; the landmarks' network is below 0.9 in them all.
_PALM, _HAND, _FOLLOWED = 0.3, 0.9, 0.5
# Frames in which a hand has to be seen, and frames for which it may be lost between two of them.
_LEAST_FRAMES, _GAP = 3, 5
# Side of the square that is searched, and sizes that a hand can have, in sides of the face's box.
_REACH, _SIZES = 2.2, (0.1, 1.5)
# Distance of the middles of one hand in two frames, in its sizes.
_SAME = 0.6
# Width of a finger, and the length and width of what is drawn of the arm, in sizes of the hand.
_FINGER, _ARM = 0.24, (0.4, 0.5)
# Softness of the cut-out's edge as a share of the crop's side, and the rim of a parsed face in which what is
# not the face is no occlusion but its outline.
_SOFT, _RIM = 0.012, 0.06


@dataclass
class _Track:
    """One hand by the index of its frame."""

    hands: dict[int, Hand]

    @property
    def first(self) -> int:
        return min(self.hands)

    @property
    def last(self) -> int:
        return max(self.hands)


def hand_masks(
    finder: HandFinder,
    frames: Sequence[np.ndarray],
    *,
    indices: Sequence[int],
    boxes: np.ndarray,
    crop_boxes: Sequence[CropBox],
    size: int,
) -> np.ndarray | None:
    """What hands cover of a face's crops.

    Palms are looked for around the face in every fourth frame of the video, and hands followed both ways from
    where they are found, so that frames without hands cost a quarter of a search.

    Args:
        finder: networks that find hands.
        frames: F frames (H, W, 3) uint8, RGB, of one shot.
        indices: index of each frame in its video.
        boxes: boxes (F, 4) of the face, px.
        crop_boxes: crop in each frame.
        size: side of the crops, px.

    Returns:
        (F, size, size) float32 in [0, 1], 1 on a hand; None without hands.
    """
    tracks = _tracks(finder, frames, indices=indices, boxes=boxes)
    if not tracks:
        return None
    masks = np.zeros((len(frames), size, size), np.float32)
    for track in tracks:
        for index, hand in track.hands.items():
            points = crop_boxes[index].to_crop(hand.landmarks, size)
            draw_hand(masks[index], Hand(points, hand.presence))
    return soften(masks)


def covered(parsed: np.ndarray, regions: Collection[Region]) -> np.ndarray:
    """What covers parsed faces: other regions, and hair, deep within the outline of the face.

    Args:
        parsed: regions (F, S, S) of crops.
        regions: regions that belong to the face and what is pasted with it.

    Returns:
        (F, S, S) float32 in [0, 1], 1 on what covers the face; 0 everywhere where the parsing gives an
        outline alone.
    """
    kept = [int(region) for region in regions if region is not Region.HAIR]
    masks = np.zeros(parsed.shape, np.float32)
    for mask, labels in zip(masks, parsed, strict=True):
        _fill_covered(mask, labels, kept)
    return soften(masks) if masks.any() else masks


def soften(masks: np.ndarray) -> np.ndarray:
    """Masks (F, S, S) with soft edges outside of them, steady over frames; what was 1 stays near 1."""
    sigma = _SOFT * masks.shape[1]
    grown = np.ones((2 * round(1.5 * sigma) + 1,) * 2, np.uint8)
    soft = np.stack([cv2.GaussianBlur(cv2.dilate(mask, grown), (0, 0), sigma) for mask in masks])
    if len(soft) < 2:
        return soft
    padded = np.pad(soft, [(1, 1), (0, 0), (0, 0)], mode="edge")
    return np.asarray(np.maximum(soft, (padded[:-2] + 2 * soft + padded[2:]) / 4))


def draw_hand(mask: np.ndarray, hand: Hand) -> None:
    """Fill a hand in a mask: its palm, each finger as a thick line, and the beginning of the arm.

    Args:
        mask: mask (H, W) float32, changed in place.
        hand: hand in the mask's pixels.
    """
    points, size = hand.landmarks, hand.size
    width = max(round(_FINGER * size), 1)

    def line(corners: np.ndarray, thickness: int) -> None:
        cv2.polylines(
            mask, [np.rint(corners).astype(np.int32)], isClosed=False, color=1.0, thickness=thickness
        )

    palm = cv2.convexHull(points[PALM].astype(np.float32))
    cv2.fillConvexPoly(mask, np.rint(palm).astype(np.int32), 1.0)
    line(points[[*PALM, PALM[0]]], width)
    for finger in FINGERS:
        line(points[finger], width)
    along = points[WRIST] - points[MIDDLE]
    length, thickness = (share * size for share in _ARM)
    elbow = points[WRIST] + along / max(float(np.linalg.norm(along)), 1e-6) * length
    line(np.stack([points[WRIST], elbow]), max(round(thickness), 1))


def _tracks(
    finder: HandFinder, frames: Sequence[np.ndarray], *, indices: Sequence[int], boxes: np.ndarray
) -> list[_Track]:
    """The hands around a face, over the frames."""
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    searched = [place for place, index in enumerate(indices) if index % _EVERY == 0]
    tracks: list[_Track] = []
    for place in searched or [0]:
        side = round(_REACH * float(sides[place]))
        x, y = np.rint((boxes[place, :2] + boxes[place, 2:] - side) / 2)
        for hand in finder.search(frames[place], (int(x), int(y), side), min_score=_PALM):
            fits = _SIZES[0] <= hand.size / sides[place] <= _SIZES[1]
            known = any(place in track.hands and _same(hand, track.hands[place]) for track in tracks)
            if hand.presence >= _HAND and fits and not known:
                tracks.append(_followed(finder, frames, place, hand))
    tracks = _joined(sorted(tracks, key=lambda track: track.first))
    return [track for track in tracks if len(track.hands) >= min(_LEAST_FRAMES, len(frames))]


def _followed(finder: HandFinder, frames: Sequence[np.ndarray], place: int, hand: Hand) -> _Track:
    """A hand in the frames before and after one, as far as it can be followed."""
    hands = {place: hand}
    for step, end in ((1, len(frames)), (-1, -1)):
        last = hand
        for index in range(place + step, end, step):
            last = finder.follow(frames[index], last)
            if last.presence < _FOLLOWED:
                break
            hands[index] = last
    return _Track(hands)


def _joined(tracks: list[_Track]) -> list[_Track]:
    """Tracks of one hand, between which it was lost for a moment, as one; in between it is interpolated."""
    joined: list[_Track] = []
    for track in tracks:
        before = next((one for one in joined if _continues(track, one)), None)
        if before is None:
            joined.append(track)
            continue
        last, start, end = before.hands[before.last], before.last, track.first
        for index in range(start + 1, end):
            share = np.float32((index - start) / (end - start))
            points = (1 - share) * last.landmarks + share * track.hands[end].landmarks
            before.hands[index] = Hand(points, min(last.presence, track.hands[end].presence))
        before.hands.update(track.hands)
    return joined


def _continues(track: _Track, before: _Track) -> bool:
    gap = track.first - before.last
    return 0 < gap <= _GAP and _same(track.hands[track.first], before.hands[before.last], reach=2)


def _same(one: Hand, other: Hand, *, reach: float = 1) -> bool:
    distance = float(np.linalg.norm(one.landmarks.mean(axis=0) - other.landmarks.mean(axis=0)))
    return distance < reach * _SAME * max(one.size, other.size)


def _fill_covered(mask: np.ndarray, labels: np.ndarray, kept: list[int]) -> None:
    """Fill in a mask what lies deep within the outline of a face and is not of the kept regions."""
    face = (labels == int(Region.FACE)).astype(np.uint8)
    outlines, _ = cv2.findContours(face, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return
    hull = np.zeros_like(face)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(outlines)), 1)
    other = hull & ~np.isin(labels, kept)
    reach = 2 * round(_RIM * len(face)) + 1
    deep = cv2.erode(hull, np.ones((reach, reach), np.uint8), borderValue=0) & other
    if not deep.any():
        return
    _, pieces = cv2.connectedComponents(other)
    mask[np.isin(pieces, np.unique(pieces[deep > 0]))] = 1.0
