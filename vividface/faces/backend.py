"""Face backends behind one interface: detection, landmarks, parsing, identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import cv2
import numpy as np

from vividface.config import FacesConfig


@dataclass(frozen=True)
class Face:
    """A face in a frame.

    Attributes:
        box: (4,) float32, x0, y0, x1, y1 in pixels of the frame; brows to chin for dlib, hairline to chin for
            RetinaFace.
        landmarks: (K, 2) float32, x and y in pixels. K = 68: the order of the iBUG 300-W annotation. K = 5:
            the eyes, the tip of the nose, the corners of the mouth, each from the image's left to its right.
        score: the detector's confidence, comparable within a backend.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class Region(IntEnum):
    """What a parsed pixel belongs to."""

    BACKGROUND = 0
    FACE = 1
    HAIR = 2
    NECK = 3
    CLOTH = 4


class FaceBackend(Protocol):
    """What every step that looks at faces asks for; frames are (H, W, 3), uint8, RGB, of one size.

    A backend may be asked by several threads at once.

    Attributes:
        points: K, the number of landmarks of a face: 68 or 5.
        identity: name of the identity network, as the metrics' variants carry it.
        same_person: cosine of two identity embeddings above which they are taken for one person's.
    """

    points: int
    identity: str
    same_person: float

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        """All faces of each frame, the most confident first."""

    def parse(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """The `Region` of every pixel of each frame, (F, H, W) uint8, around one given face per frame.

        Beyond the square that is looked at, everything is background.
        """

    def embed(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """The identity of one face per frame: (F, D) float32, of unit length."""

    def require_identity(self) -> None:
        """Load what `embed` needs, now; `MissingAssetError` if it is not there."""


def load_backend(faces: FacesConfig, device: str = "cpu", threads: int = 1) -> FaceBackend:
    """The backend that the configuration names.

    Args:
        faces: which, and its options.
        device: where networks run; dlib's always run on the CPU.
        threads: frames that dlib looks at at a time.

    Raises:
        MissingAssetError: its networks are not there. Those that not every step needs (parsing, identity)
            are looked for when they are first used.
    """
    if faces.backend == "facexlib":
        from vividface.faces.facexlib_backend import FacexlibBackend

        return FacexlibBackend(faces, device)
    from vividface.faces.dlib_backend import DlibBackend

    return DlibBackend(faces.detection_size, threads)


def rescale(frame: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """A frame (H, W, 3) resized by a factor, and its exact scale along x and y, (2,)."""
    height, width = frame.shape[:2]
    if factor == 1:
        return frame, np.ones(2)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scale = np.array([size[0] / width, size[1] / height])
    return np.asarray(cv2.resize(frame, size, interpolation=interpolation)), scale
