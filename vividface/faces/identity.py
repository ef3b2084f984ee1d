"""Identity by dlib's residual network, by the landmarks of any backend that has iBUG's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from threading import Lock

import dlib
import numpy as np

from vividface.errors import MissingWeightsError
from vividface.faces.base import Face
from vividface.faces.landmarks import ibug


class DlibIdentity:
    """dlib's 128-D identity network (King, "Dlib-ml", JMLR 2009), loaded when it is first used.

    Attributes:
        same_person: cosine of two embeddings above which they count as one person's.

    Raises:
        MissingWeightsError: the package with the network is not installed.
    """

    # Between the 1st percentile of one person's cosines (0.944) and the 99th of two people's (0.917), over 64
    # people's clips, by dlib's landmarks and by FaceMesh's alike.
    same_person = 0.94

    def __init__(self) -> None:
        self._path = models_folder() / "dlib_face_recognition_resnet_model_v1.dat"
        self._network: dlib.face_recognition_model_v1 | None = None
        self._lock = Lock()

    def load(self) -> None:
        """Load the network now."""
        with self._lock:
            if self._network is None:
                self._network = dlib.face_recognition_model_v1(str(self._path))

    def embed(self, frame: np.ndarray, face: Face) -> np.ndarray:
        """The identity of a face: (128,) float32, of unit length, from a chip of 150 x 150 px.

        Args:
            frame: frame (H, W, 3) uint8, RGB.
            face: face in the frame, with 68 landmarks or those of FaceMesh.
        """
        self.load()
        assert self._network is not None
        points = [dlib.point(int(x), int(y)) for x, y in np.rint(ibug(face.landmarks))]
        shape = dlib.full_object_detection(rectangle(face.box), points)
        chip = dlib.get_face_chip(np.ascontiguousarray(frame), shape, size=150, padding=0.25)
        with self._lock:
            vector = np.asarray(self._network.compute_face_descriptor(chip), np.float32)
        return vector / np.linalg.norm(vector)


def rectangle(box: np.ndarray) -> dlib.rectangle:
    """A box (4,) in pixels as dlib's rectangle, whose right and lower edges are pixels of it."""
    x0, y0, x1, y1 = (int(value) for value in np.rint(box))
    return dlib.rectangle(x0, y0, x1 - 1, y1 - 1)


def models_folder() -> Path:
    """The folder of dlib's networks; `MissingWeightsError` if their package is not installed."""
    # The package is not imported: it needs a module that setuptools no longer has.
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise MissingWeightsError(
            "the package face_recognition_models is not installed, and the face backends `dlib` and "
            "`mediapipe` need its networks; run `pip install face-recognition-models`"
        )
    return Path(spec.origin).parent / "models"
