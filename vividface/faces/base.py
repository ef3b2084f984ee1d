"""The interface of a face backend: detection, landmarks, parsing, identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import cv2
import numpy as np


@dataclass(frozen=True)
class Face:
    """A face in a frame.

    Attributes:
        box: (4,) float32, x0, y0, x1, y1 in pixels of the frame; brows to chin for dlib and BlazeFace,
            hairline to chin for RetinaFace.
        landmarks: (K, 2) float32, x and y in pixels. K = 68: the order of the iBUG 300-W annotation. K = 478:
            the order of FaceMesh, whose last ten are the irises. K = 5: the eyes, the tip of the nose, the
            corners of the mouth, each from the image's left to its right.
        score: confidence of the detector, comparable within a backend.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class Region(IntEnum):
    """The part of a picture that a parsed pixel belongs to."""

    BACKGROUND = 0
    FACE = 1
    HAIR = 2
    NECK = 3
    CLOTH = 4


class FaceBackend(Protocol):
    """The networks that look at faces; frames are (H, W, 3), uint8, RGB, all of one size.

    Several threads may call a backend at once.

    Attributes:
        num_landmarks: K, the number of landmarks of a face: 68, 478 or 5.
        same_person: cosine of two identity embeddings above which they count as one person's.
    """

    num_landmarks: int
    same_person: float

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        """All faces of each frame, the most confident first."""

    def parse(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """The `Region` of each pixel around a face.

        Args:
            frames: F frames.
            faces: one face per frame.

        Returns:
            (F, H, W) uint8; background beyond the square around the face that is parsed.
        """

    def fit_landmarks(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """The landmarks of one face per frame, fitted in its box whether or not the detector sees a face.

        Args:
            frames: F frames.
            faces: one face per frame, whose landmarks say roughly where its eyes are.

        Returns:
            (F, K, 2) float32, px. The 5 landmarks of RetinaFace come with its detections alone: they are
            returned as they are.
        """

    def embed(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """The identity of one face per frame: (F, D) float32, of unit length."""

    def require_identity(self) -> None:
        """Load the network of `embed` now; `MissingWeightsError` if its weights are missing."""


def rescale(frame: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """A frame (H, W, 3) resized by a factor, and its exact scale along x and y, (2,)."""
    height, width = frame.shape[:2]
    if factor == 1:
        return frame, np.ones(2)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scale = np.array([size[0] / width, size[1] / height])
    return np.asarray(cv2.resize(frame, size, interpolation=interpolation)), scale
