"""The face backend `dlib`: runs anywhere, with networks from a package."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import local

import cv2
import dlib
import numpy as np

from vividface.faces.base import Face, Region, rescale
from vividface.faces.identity import DlibIdentity, models_folder, rectangle

# dlib's detector was trained on faces of 80 px: small frames are enlarged until their shorter side has this
# many pixels, so that a face of a quarter of it is found, but no more than three times.
_SHORTER_SIDE = 360
_LARGEST_SCALE = 3.0
_JAW_TO_BROW = slice(0, 27)
_BROWS = slice(17, 27)
_CHIN = 8


class DlibBackend:
    """dlib's HOG detector, its 68-landmark regression trees and its 128-D residual network.

    King, "Dlib-ml", JMLR 2009; Kazemi and Sullivan, CVPR 2014. Networks from face_recognition_models. The
    detector needs 80 px in the image that it searches: with a `detection_size` of 640, an eighth of the
    longer side of a large frame, and about 40 px in a small frame, which is enlarged. Nothing is random: the
    same frame gives the same faces. Parsing tells only the face, as the outline of the landmarks.

    Args:
        detection_size: longest side of the image that is searched, px.
        threads: number of frames searched at a time.

    Raises:
        MissingWeightsError: the package with the networks is not installed.
    """

    num_landmarks = 68
    same_person = DlibIdentity.same_person

    def __init__(self, detection_size: int, *, threads: int = 1) -> None:
        self._detection_size = detection_size
        self._predictor = dlib.shape_predictor(str(models_folder() / "shape_predictor_68_face_landmarks.dat"))
        self._identity = DlibIdentity()
        # dlib works outside of Python's lock; its detector has a state, so every thread has its own.
        self._pool = ThreadPoolExecutor(threads)
        self._of_thread = local()

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        """See `FaceBackend`."""
        return list(self._pool.map(self._detect, frames))

    def parse(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """See `FaceBackend`."""
        masks = [
            outline_mask(face.landmarks, height=frame.shape[0], width=frame.shape[1])
            for frame, face in zip(frames, faces, strict=True)
        ]
        return np.where(np.stack(masks), Region.FACE, Region.BACKGROUND).astype(np.uint8)

    def fit_landmarks(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """See `FaceBackend`."""
        return np.stack([self._landmarks(frame, face.box) for frame, face in zip(frames, faces, strict=True)])

    def embed(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """See `FaceBackend`; D = 128, from chips of 150 x 150 px aligned by the landmarks."""
        return np.stack([self._identity.embed(*pair) for pair in zip(frames, faces, strict=True)])

    def require_identity(self) -> None:
        """See `FaceBackend`."""
        self._identity.load()

    def _detect(self, frame: np.ndarray) -> list[Face]:
        if not hasattr(self._of_thread, "detector"):
            self._of_thread.detector = dlib.get_frontal_face_detector()
        frame = np.ascontiguousarray(frame)
        searched, scale = rescale(frame, self.search_factor(*frame.shape[:2]))
        boxes, scores, _ = self._of_thread.detector.run(searched, 0, 0.0)
        faces = []
        for box, score in zip(boxes, scores, strict=True):
            corners = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1]) / np.tile(scale, 2)
            faces.append(Face(corners.astype(np.float32), self._landmarks(frame, corners), float(score)))
        return sorted(faces, key=lambda face: -face.score)

    def _landmarks(self, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        """The landmarks (68, 2) float32 of a face in a box (4,), px."""
        # dlib's landmarks are whole pixels, so they are taken where the face has most of them.
        factor = max(self.search_factor(*frame.shape[:2]), 1.0)
        frame, scale = rescale(np.ascontiguousarray(frame), factor)
        points = _points(self._predictor(frame, rectangle(box * np.tile(scale, 2)))) / scale
        return np.asarray(points, np.float32)

    def search_factor(self, height: int, width: int) -> float:
        """The factor by which a frame of this size is resized before it is searched."""
        enlarged = min(max(_SHORTER_SIDE / min(height, width), 1.0), _LARGEST_SCALE)
        return min(self._detection_size / max(height, width), enlarged)


def outline_mask(landmarks: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """The face as the convex hull of its landmarks, raised over the forehead.

    The 68 landmarks end at the brows; the brows, moved up from the chin by two fifths of the distance of chin
    and brows, stand for the hairline.

    Args:
        landmarks: (68, 2) in pixels.
        height: height of the mask, px.
        width: width of the mask, px.

    Returns:
        (H, W) bool.
    """
    brows = landmarks[_BROWS]
    up = brows.mean(axis=0) - landmarks[_CHIN]
    outline = np.concatenate([landmarks[_JAW_TO_BROW], brows + 0.4 * up])
    hull = cv2.convexHull(np.rint(outline).astype(np.int32))
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, hull, 1)
    return mask.astype(bool)


def _points(shape: dlib.full_object_detection) -> np.ndarray:
    return np.array([(point.x, point.y) for point in shape.parts()], np.float64)
