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

# dlib's detector was trained on faces of 80 px: small frames are enlarged until their shorter side has this
# many pixels, so that a face of a quarter of it is found, but no more than three times.
_SHORTER_SIDE = 360
_LARGEST_SCALE = 3.0


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

    def embed(self, frame: np.ndarray, face: Face) -> np.ndarray:
        """The identity embedding (D,) float32, of unit length, of a face in a frame (H, W, 3), uint8, RGB."""


def load_backend(faces: FacesConfig) -> FaceBackend:
    """The backend that the configuration names; `MissingAssetError` if its networks are not there."""
    return DlibBackend(faces.detection_size)


class DlibBackend:
    """dlib's HOG detector, its 68-landmark regression trees and its 128-D residual network.

    King, "Dlib-ml", JMLR 2009; Kazemi and Sullivan, CVPR 2014. Networks from face_recognition_models. The
    detector needs 80 px in the image that it searches: with a `detection_size` of 640, an eighth of the
    longer side of a large frame, and about 40 px in a small frame, which is enlarged. Nothing is random: the
    same frame gives the same faces.

    Args:
        detection_size: px, the most that the longer side of the image has in which faces are looked for.

    Raises:
        MissingAssetError: the package with the networks is not installed.
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
        frame = np.ascontiguousarray(frame)
        searched, scale = self._rescale(frame)
        boxes, scores, _ = self._detector.run(searched, 0, 0.0)
        faces = []
        for box, score in zip(boxes, scores, strict=True):
            corners = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1]) / np.tile(scale, 2)
            # dlib's landmarks are whole pixels, so they are taken where the face has most of them.
            if scale[0] > 1:
                landmarks = _points(self._predictor(searched, box)) / scale
            else:
                landmarks = _points(self._predictor(frame, _rectangle(corners)))
            faces.append(Face(corners.astype(np.float32), landmarks.astype(np.float32), float(score)))
        return sorted(faces, key=lambda face: -face.score)

    def embed(self, frame: np.ndarray, face: Face) -> np.ndarray:
        """See `FaceBackend`; D = 128, from a chip of 150 x 150 px aligned by the landmarks."""
        if self._identity is None:
            self._identity = dlib.face_recognition_model_v1(str(self._identity_path))
        points = [dlib.point(int(x), int(y)) for x, y in np.rint(face.landmarks)]
        shape = dlib.full_object_detection(_rectangle(face.box), points)
        chip = dlib.get_face_chip(np.ascontiguousarray(frame), shape, size=150, padding=0.25)
        vector = np.asarray(self._identity.compute_face_descriptor(chip), np.float32)
        return vector / np.linalg.norm(vector)

    def _rescale(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The image in which faces are looked for, and its scale along x and y."""
        height, width = frame.shape[:2]
        enlarged = min(max(_SHORTER_SIDE / min(height, width), 1.0), _LARGEST_SCALE)
        factor = min(self._detection_size / max(height, width), enlarged)
        if factor == 1:
            return frame, np.ones(2)
        size = (max(round(width * factor), 1), max(round(height * factor), 1))
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        scale = np.array([size[0] / width, size[1] / height])
        return cv2.resize(frame, size, interpolation=interpolation), scale


def _points(shape: dlib.full_object_detection) -> np.ndarray:
    return np.array([(point.x, point.y) for point in shape.parts()], np.float64)


def _rectangle(box: np.ndarray) -> dlib.rectangle:
    x0, y0, x1, y1 = (int(value) for value in np.rint(box))
    return dlib.rectangle(x0, y0, x1 - 1, y1 - 1)


def _models_folder() -> Path:
    """Found without importing the package, which needs a module that setuptools no longer has."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise MissingAssetError(
            "the package face_recognition_models is not installed, and the face backend `dlib` needs its "
            "networks; run `pip install face-recognition-models`"
        )
    return Path(spec.origin).parent / "models"
