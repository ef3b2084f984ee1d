"""Heads that lie on their side, which detectors do not know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vividface.faces.base import Face, FaceBackend
from vividface.faces.landmarks import eye_centres

# Frames in which a face has to be found for a turn to be taken, as a share.
_LEAST_SHARE = 0.5


def detect(backend: FaceBackend, frames: Sequence[np.ndarray]) -> list[list[Face]]:
    """All faces of consecutive frames; turned by a quarter where no head is upright in any of them.

    Args:
        backend: face backend.
        frames: frames (H, W, 3), uint8, RGB, of one size.

    Returns:
        the faces of each frame, in pixels of the frame as it is.
    """
    upright = backend.detect(frames)
    if any(upright):
        return upright
    # Two frames are looked at in every turn, before all of them are in one.
    looks = [frames[index] for index in sorted({0, len(frames) // 2})]
    for turns in (1, 3):
        if not all(backend.detect(_turned(looks, turns))):
            continue
        faces = backend.detect(_turned(frames, turns))
        if sum(map(bool, faces)) >= _LEAST_SHARE * len(frames):
            height, width = frames[0].shape[:2]
            return [
                [_turned_back(face, turns, height=height, width=width) for face in found] for found in faces
            ]
    return upright


def quarter_turns(landmarks: np.ndarray) -> int:
    """The quarter turns, counterclockwise, that set a face upright: 0 to 3.

    Args:
        landmarks: (K, 2) of one face, or (F, K, 2) of its frames; see `Face.landmarks`.
    """
    directions = []
    for points in landmarks.reshape(-1, *landmarks.shape[-2:]):
        left, right = eye_centres(points)
        directions.append((right - left) / max(float(np.linalg.norm(right - left)), 1e-6))
    x, y = np.mean(directions, axis=0)
    return round(float(np.arctan2(y, x)) / (np.pi / 2)) % 4


def _turned(frames: Sequence[np.ndarray], turns: int) -> list[np.ndarray]:
    return [np.ascontiguousarray(np.rot90(frame, turns)) for frame in frames]


def _turned_back(face: Face, turns: int, *, height: int, width: int) -> Face:
    """A face of a frame that was turned, in the frame of so many pixels before."""
    corners = _points_back(face.box.reshape(2, 2), turns, height=height, width=width)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)
    points = _points_back(face.landmarks, turns, height=height, width=width)
    return Face(box, points.astype(np.float32), face.score)


def _points_back(points: np.ndarray, turns: int, *, height: int, width: int) -> np.ndarray:
    x, y = points[..., 0], points[..., 1]
    if turns == 1:
        return np.stack([width - 1 - y, x], axis=-1)
    return np.stack([y, height - 1 - x], axis=-1)
