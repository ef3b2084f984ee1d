"""MediaPipe's hands (Zhang et al., 2020) on LiteRT: palm detection, and the 21 landmarks of a hand."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.blazeface import anchors, square_patch
from vividface.faces.litert import load_network, run_network
from vividface.faces.tracking import overlap
from vividface.weights.cache import weights_path

NUM_LANDMARKS = 21
# The palm network's input, px, and for each grid of anchors its stride and the number of anchors at a place.
_PALM_SIZE, _PALM_LAYERS = 192, [(8, 2), (16, 6)]
# Box and keypoints of a palm; of these its wrist and its middle finger's knuckle, which say where up is.
_PALM_POINTS, _PALM_WRIST, _PALM_MIDDLE = 9, 0, 2
_SAME_PALM = 0.3
# MediaPipe cuts a hand out of the frame in a square of so many sides of its palm's box, moved along the hand.
_HAND_SIZE, _PALM_MARGIN, _PALM_SHIFT = 224, 2.6, -0.5
# The same around landmarks that were found before: those of palm and knuckles.
_MARGIN, _SHIFT = 2.0, -0.1
_STEADY = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
# Landmarks: the wrist, and of each finger from its root to its tip.
WRIST, MIDDLE = 0, 9
PALM = [0, 1, 5, 9, 13, 17]
FINGERS = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [17, 18, 19, 20]]


@dataclass(frozen=True)
class Hand:
    """A hand in a frame.

    Attributes:
        landmarks: (21, 2) float32, x and y in pixels of the frame: the wrist, then each finger from thumb to
            little finger, from its root to its tip.
        presence: probability of a hand, as the network gives it.
    """

    landmarks: np.ndarray
    presence: float

    @property
    def size(self) -> float:
        """Length from wrist to knuckles, px, also of a hand that is seen from its side."""
        points = self.landmarks
        lengths = np.linalg.norm(points[PALM[2:]] - points[WRIST], axis=1)
        return float(max(lengths.max(), 1.4 * np.linalg.norm(points[5] - points[17])))


class HandFinder:
    """The palm detector and the network of the landmarks.

    Raises:
        MissingWeightsError: a network is not in the cache of weights.
    """

    def __init__(self) -> None:
        self._palms = load_network(weights_path("palm_detection").read_bytes())
        self._landmarks = load_network(weights_path("hand_landmarks").read_bytes())
        layers = [anchors(_PALM_SIZE // stride, count) for stride, count in _PALM_LAYERS]
        self._anchors = np.concatenate(layers)

    def search(self, frame: np.ndarray, square: tuple[int, int, int], *, min_score: float) -> list[Hand]:
        """The hands whose palms lie in a square of a frame.

        Args:
            frame: frame (H, W, 3) uint8, RGB.
            square: left and upper edge and side of the square, px; black where it leaves the frame.
            min_score: score of the palm below which it is none.
        """
        x, y, side = square
        patch = square_patch(frame, square, _PALM_SIZE).astype(np.float32)
        outputs = run_network(self._palms, [patch[None] / 255])
        logits, values = sorted((value[0] for value in outputs.values()), key=lambda value: value.shape[-1])
        scores = 1 / (1 + np.exp(-np.clip(logits[:, 0], -50, 50)))
        kept = np.flatnonzero(scores >= min_score)
        pairs = values[kept].reshape(-1, _PALM_POINTS, 2) / _PALM_SIZE
        # Centre, width and height, then points: all but width and height are relative to the anchor.
        pairs[:, [0, *range(2, _PALM_POINTS)]] += self._anchors[kept][:, None]
        palms = pairs * side
        palms[:, [0, *range(2, _PALM_POINTS)]] += (x, y)
        return [self._fit(frame, *_palm_square(palm)) for palm in _distinct(palms, scores[kept])]

    def follow(self, frame: np.ndarray, hand: Hand) -> Hand:
        """A hand of a neighbouring frame, in this one.

        Args:
            frame: frame (H, W, 3) uint8, RGB.
            hand: the hand as it was found there.
        """
        return self._fit(frame, *_hand_square(hand.landmarks))

    def _fit(self, frame: np.ndarray, centre: np.ndarray, side: float, angle: float) -> Hand:
        """The landmarks in a square around a centre, turned by an angle (rad) to point up."""
        scale = max(side, 1.0) / _HAND_SIZE
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        to_frame = np.array([[cos, -sin, 0], [sin, cos, 0]])
        to_frame[:, 2] = centre - to_frame[:, :2] @ np.full(2, (_HAND_SIZE - 1) / 2)
        patch = cv2.warpAffine(
            frame, to_frame, (_HAND_SIZE, _HAND_SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        outputs = run_network(self._landmarks, [patch[None].astype(np.float32) / 255])
        points = outputs["Identity"].reshape(-1, 3)[:, :2]
        landmarks = points @ to_frame[:, :2].T + to_frame[:, 2]
        return Hand(landmarks.astype(np.float32), float(outputs["Identity_1"].item()))


def _distinct(palms: np.ndarray, scores: np.ndarray) -> list[np.ndarray]:
    """Palms (N, 9, 2), the most probable of each that overlap."""
    boxes = np.concatenate([palms[:, 0] - palms[:, 1] / 2, palms[:, 0] + palms[:, 1] / 2], axis=1)
    chosen: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if all(overlap(boxes[index], boxes[other]) <= _SAME_PALM for other in chosen):
            chosen.append(int(index))
    return [palms[index] for index in chosen]


def _palm_square(palm: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Centre, side and angle of the square around the hand of a palm (9, 2)."""
    angle = _angle(palm[2 + _PALM_WRIST], palm[2 + _PALM_MIDDLE])
    centre = palm[0] + _rotated(np.array([0, _PALM_SHIFT * palm[1, 1]]), angle)
    return centre, float(palm[1].max()) * _PALM_MARGIN, angle


def _hand_square(landmarks: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The same around the landmarks (21, 2) of a hand."""
    knuckles = ((landmarks[6] + landmarks[14]) / 2 + landmarks[10]) / 2
    angle = _angle(landmarks[WRIST], knuckles)
    upright = _rotated(landmarks[_STEADY], -angle)
    low, high = upright.min(axis=0), upright.max(axis=0)
    centre = (low + high) / 2 + np.array([0, _SHIFT * (high - low)[1]])
    return _rotated(centre, angle), float((high - low).max()) * _MARGIN, angle


def _angle(wrist: np.ndarray, knuckles: np.ndarray) -> float:
    """The angle, rad, by which a hand is turned from fingers up, clockwise."""
    x, y = knuckles - wrist
    return float(np.arctan2(x, -y))


def _rotated(points: np.ndarray, angle: float) -> np.ndarray:
    """Points (..., 2) turned clockwise, as the image's y points down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))
