"""Face backends behind one interface: detection, 68 landmarks, identity."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import dlib
import numpy as np

from vividface.config import FacesConfig
from vividface.errors import MissingAssetError

# dlib's detector was trained on faces of 80 px and misses smaller ones.
_SMALLEST_SIDE = 360


@dataclass(frozen=True)
class Face:
    """A face in a frame.

    Attributes:
        box: (4,) float32, x0, y0, x1, y1 in pixels of the frame; brows to chin for dlib.
        landmarks: (68, 2) float32, x and y in pixels, in the order of the iBUG 300-W annotation.
        score: the detector's confidence, comparable within a backend.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class FaceBackend(Protocol):
    """What every step that looks at faces asks for."""

    def detect(self, frame: np.ndarray) -> list[Face]:
        """All faces in a frame (H, W, 3), uint8, RGB; the most confident first."""

    def embed(self, frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """The identity embedding (D,) float32, of unit length, of the face with these landmarks (68, 2)."""


def load_backend(faces: FacesConfig) -> FaceBackend:
    """The backend that the configuration names."""
    return DlibBackend(faces.detection_size)


class DlibBackend:
    """dlib's HOG detector, its 68-landmark regression trees and its 128-D residual network.

    King, "Dlib-ml", JMLR 2009; Kazemi and Sullivan, CVPR 2014. Networks from face_recognition_models.

    Args:
        detection_size: px, the longer side of the image in which faces are looked for.
    """

    def __init__(self, detection_size: int) -> None:
        folder = _models_folder()
        self._detection_size = detection_size
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat"))
        self._identity_path = folder / "dlib_face_recognition_resnet_model_v1.dat"
        self._identity: dlib.face_recognition_model_v1 | None = None

    def detect(self, frame: np.ndarray) -> list[Face]:
        """See `FaceBackend`."""
        height, width = frame.shape[:2]
        scale = min(self._detection_size / max(height, width), 1.0)
        scale = max(scale, min(_SMALLEST_SIDE / min(height, width), 3.0))
        small = frame if scale == 1 else cv2.resize(frame, None, fx=scale, fy=scale)
        boxes, scores, _ = self._detector.run(np.ascontiguousarray(small), 0, 0.0)
        faces = []
        for box, score in zip(boxes, scores, strict=True):
            shape = self._predictor(small, box)
            points = np.array([(p.x, p.y) for p in shape.parts()], np.float32) / scale
            corners = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1], np.float32)
            faces.append(Face(corners / scale, points, float(score)))
        return sorted(faces, key=lambda face: -face.score)

    def embed(self, frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """See `FaceBackend`; D = 128."""
        if self._identity is None:
            self._identity = dlib.face_recognition_model_v1(str(self._identity_path))
        x0, y0 = landmarks.min(axis=0)
        x1, y1 = landmarks.max(axis=0)
        points = [dlib.point(int(round(x)), int(round(y))) for x, y in landmarks]
        shape = dlib.full_object_detection(dlib.rectangle(int(x0), int(y0), int(x1), int(y1)), points)
        embedding = self._identity.compute_face_descriptor(np.ascontiguousarray(frame), shape)
        vector = np.asarray(embedding, np.float32)
        return vector / np.linalg.norm(vector)


def _models_folder() -> Path:
    """Found without importing the package, which needs a module that setuptools no longer has."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise MissingAssetError(
            "the package face_recognition_models is not installed, and the face backend `dlib` needs its "
            "models; run `pip install face-recognition-models`"
        )
    return Path(spec.origin).parent / "models"
