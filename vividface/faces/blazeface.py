"""BlazeFace, MediaPipe's face detector (Bazarevsky et al., 2019), on LiteRT."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.litert import load_network, run_network
from vividface.faces.tracking import overlap
from vividface.weights.cache import weights_path

# Overlap above which two boxes are one face's; they are averaged by their scores, as MediaPipe does.
_SAME_FACE = 0.3
# Keypoints of a face after its box: the eyes, nose, mouth and ears.
_NUM_KEYPOINTS = 6


@dataclass(frozen=True)
class Detection:
    """A face that BlazeFace sees.

    Attributes:
        box: (4,) x0, y0, x1, y1, px: brows to chin.
        eyes: (2, 2), the centres of the eye on the image's left and of that on its right, px.
        score: probability of a face, as the network gives it.
    """

    box: np.ndarray
    eyes: np.ndarray
    score: float

    @property
    def side(self) -> float:
        """Longer side of the box, px."""
        return float((self.box[2:] - self.box[:2]).max())


class BlazeFace:
    """A BlazeFace network, which searches a square of a frame.

    Args:
        weights: name of the network in the cache of weights.

    Raises:
        MissingWeightsError: the network is not in the cache.
    """

    def __init__(self, weights: str) -> None:
        self._size, layers = _LAYERS[weights]
        self._network = load_network(weights_path(weights).read_bytes())
        self._anchors = np.concatenate([anchors(self._size // stride, count) for stride, count in layers])

    def search(self, frame: np.ndarray, square: tuple[int, int, int], *, min_score: float) -> list[Detection]:
        """The faces of a square, the most probable first.

        Args:
            frame: frame (H, W, 3) uint8, RGB.
            square: left and upper edge and side of the square, px; black where it leaves the frame.
            min_score: score below which a face is none.
        """
        x, y, side = square
        patch = square_patch(frame, square, self._size).astype(np.float32)
        outputs = run_network(self._network, [patch[None] / 127.5 - 1])
        logits, values = sorted((value[0] for value in outputs.values()), key=lambda value: value.shape[-1])
        scores = 1 / (1 + np.exp(-np.clip(logits[:, 0], -50, 50)))
        kept = scores >= min_score
        pairs = values[kept].reshape(-1, 2 + _NUM_KEYPOINTS, 2) / self._size
        centres, sizes, keypoints = pairs[:, 0], pairs[:, 1], pairs[:, 2:]
        places = self._anchors[kept]
        corners = np.concatenate([centres + places - sizes / 2, centres + places + sizes / 2], axis=1)
        boxes = corners * side + np.array([x, y, x, y])
        eyes = (keypoints[:, :2] + places[:, None]) * side + np.array([x, y])
        return _merged(boxes, eyes, scores[kept])


# Side of the input in pixels, and for each grid of anchors its stride and the number of anchors at a place.
_LAYERS = {"blazeface_short": (128, [(8, 2), (16, 6)]), "blazeface_full": (192, [(4, 1)])}


def square_patch(frame: np.ndarray, square: tuple[int, int, int], size: int) -> np.ndarray:
    """A square of a frame at the size of a network's input; areas are averaged, so that nothing aliases.

    Args:
        frame: frame (H, W, 3) uint8, RGB.
        square: left and upper edge and side of the square, px; black where it leaves the frame.
        size: side of the result, px.

    Returns:
        (size, size, 3) uint8.
    """
    x, y, side = (float(value) for value in square)
    left, top = max(int(x), 0), max(int(y), 0)
    frame = frame[top : max(int(y + side), 0), left : max(int(x + side), 0)]
    if not frame.size:
        return np.zeros((size, size, 3), np.uint8)
    x, y, scale = x - left, y - top, size / side
    while scale <= 0.5:
        # By whole pixels, which is much faster than by any other factor.
        width, height = (max(length // 2, 1) for length in frame.shape[1::-1])
        frame = cv2.resize(frame[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        x, y, scale = x / 2, y / 2, 2 * scale
    if scale < 1:
        resized = [max(round(length * scale), 1) for length in frame.shape[1::-1]]
        frame = cv2.resize(frame, resized, interpolation=cv2.INTER_AREA)
        x, y, scale = x * scale, y * scale, 1.0
    else:
        x, y = x * scale, y * scale
    matrix = np.array([[scale, 0, -x + (scale - 1) / 2], [0, scale, -y + (scale - 1) / 2]])
    return np.asarray(cv2.warpAffine(frame, matrix, (size, size)))


def anchors(grid: int, count: int) -> np.ndarray:
    """The anchors of a grid, (grid * grid * count, 2), x and y in [0, 1].

    Args:
        grid: number of places along either side.
        count: number of anchors at a place.
    """
    rows, columns = np.mgrid[:grid, :grid]
    places = np.stack([columns, rows], axis=-1).reshape(-1, 2)
    return np.repeat((places + 0.5) / grid, count, axis=0)


def _merged(boxes: np.ndarray, eyes: np.ndarray, scores: np.ndarray) -> list[Detection]:
    """One detection for all boxes of a face: their mean, weighted by score."""
    detections = []
    rest = list(np.argsort(-scores, kind="stable"))
    while rest:
        same = [index for index in rest if overlap(boxes[rest[0]], boxes[index]) > _SAME_FACE] or rest[:1]
        weights = scores[same] / scores[same].sum()
        box = np.tensordot(weights, boxes[same], 1)
        detections.append(Detection(box, np.tensordot(weights, eyes[same], 1), float(scores[same[0]])))
        rest = [index for index in rest if index not in same]
    return detections
