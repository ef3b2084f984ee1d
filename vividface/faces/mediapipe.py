"""The face backend `mediapipe`: BlazeFace and FaceMesh, which run on any CPU."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import cv2
import numpy as np

from vividface.faces.base import Face, Region
from vividface.faces.blazeface import BlazeFace, Detection
from vividface.faces.identity import DlibIdentity
from vividface.faces.landmarks import eye_centres
from vividface.faces.mesh import RefinedFaceMesh
from vividface.faces.tracking import overlap

# Probability above which the short range sees a face that the mesh sees too; what both ranges' have to sum to
# for a face that the mesh does not see (a blurred profile); above which the full range glimpses a small one;
# and above which the short range is sure of that from near: lettering, clouds and hands reach 0.7.
_SEEN, _SEEN_TWICE, _GLIMPSED, _SURE = 0.5, 1.2, 0.3, 0.8
# Overlap above which two detections, or two meshes, are of one face; the same of a coarse and a fine one.
_SAME_FACE, _SAME_FACE_CLOSER = 0.3, 0.2
# px: side of the squares' image in which BlazeFace's full range looks for small faces.
_FULL_RANGE_SIZE = 192
# Overlap of neighbouring squares as a share of their side: a face of less is whole in one of them.
_SHARED = 0.2
# A face whose box is a smaller share of the frame's longer side is looked at again by the short range, in a
# square of so many sides of its box: the first box is too coarse for the mesh to start from.
_SMALL, _NEARER = 0.25, 2.2
# The mesh's lowest point, and the height of the forehead above the eyes relative to the mesh's.
_CHIN, _FOREHEAD = 152, 1.35


class MediapipeBackend:
    """BlazeFace, short and full range, and FaceMesh with attention; identity by dlib's network.

    Bazarevsky et al., 2019; Grishchenko et al., 2020. The short range searches the whole frame, the full
    range squares of it, for small faces. A face that the short range sees counts if the full range or the
    mesh sees it too; a small one is looked at from near, and has to be sure there unless both ranges see it.
    Nothing is random: the same frame gives the same faces. Parsing tells only the face, as the outline of
    the mesh, raised over the forehead.

    Args:
        detection_size: longer side of the image in which small faces are looked for, px.
        threads: number of frames looked at at a time.

    Raises:
        MissingWeightsError: a network is not there.
    """

    num_landmarks = 478
    same_person = DlibIdentity.same_person

    def __init__(self, detection_size: int, *, threads: int = 1) -> None:
        self._detection_size = detection_size
        self._identity = DlibIdentity()
        self._pool = ThreadPoolExecutor(threads)
        # A network has a state while it runs, so every frame in work takes a set and gives it back.
        self._networks: SimpleQueue[_Networks] = SimpleQueue()
        for _ in range(threads):
            self._networks.put(_Networks())

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        """See `FaceBackend`."""
        return list(self._pool.map(self._detect, frames))

    def parse(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """See `FaceBackend`."""
        masks = np.full((len(frames), *frames[0].shape[:2]), Region.BACKGROUND, np.uint8)
        for mask, face in zip(masks, faces, strict=True):
            cv2.fillConvexPoly(mask, np.rint(outline(face.landmarks)).astype(np.int32), int(Region.FACE))
        return masks

    def fit_landmarks(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """See `FaceBackend`."""
        networks = self._networks.get()
        try:
            return np.stack([networks.fit(*pair) for pair in zip(frames, faces, strict=True)])
        finally:
            self._networks.put(networks)

    def embed(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """See `FaceBackend`; D = 128, from chips of 150 x 150 px aligned by the landmarks."""
        return np.stack([self._identity.embed(*pair) for pair in zip(frames, faces, strict=True)])

    def require_identity(self) -> None:
        """See `FaceBackend`."""
        self._identity.load()

    def squares(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """The squares of a frame in which small faces are looked for: left and upper edge and side, px."""
        shorter, longer = sorted((height, width))
        rows = max(round(self._detection_size / longer * shorter / _FULL_RANGE_SIZE), 1)
        side = shorter / (rows - (rows - 1) * _SHARED)
        return [(x, y, round(side)) for y in _starts(height, side) for x in _starts(width, side)]

    def _detect(self, frame: np.ndarray) -> list[Face]:
        networks = self._networks.get()
        try:
            return self._faces(np.ascontiguousarray(frame), networks)
        finally:
            self._networks.put(networks)

    def _faces(self, frame: np.ndarray, networks: _Networks) -> list[Face]:
        height, width = frame.shape[:2]
        longer = max(height, width)
        whole = ((width - longer) // 2, (height - longer) // 2, longer)
        near = networks.short_range.search(frame, whole, min_score=_SEEN)
        small = [
            detection
            for square in self.squares(height, width)
            for detection in networks.full_range.search(frame, square, min_score=_GLIMPSED)
        ]
        faces: list[Face] = []
        for detection in near:
            is_small = detection.side < _SMALL * longer
            best = (networks.closer(frame, detection) if is_small else None) or detection
            seen_twice = any(
                best.score + other.score >= _SEEN_TWICE and _same(best, other) for other in small
            )
            if seen_twice or not is_small or (best is not detection and best.score >= _SURE):
                _add(faces, networks.face(frame, best, needs_mesh=not seen_twice))
        for detection in sorted(small, key=lambda found: -found.score):
            if any(_same(detection, face) for face in faces):
                continue
            closer = networks.closer(frame, detection)
            if closer and closer.score >= _SURE:
                _add(faces, networks.face(frame, closer, needs_mesh=True))
        return sorted(faces, key=lambda face: -face.score)


def outline(landmarks: np.ndarray) -> np.ndarray:
    """The outline of a face, hairline to chin, and to the tip of the nose where it is seen in profile.

    The mesh ends in the middle of the forehead: what it has above the eyes is stretched to the hairline.

    Args:
        landmarks: (478, 2) in pixels.

    Returns:
        (N, 2) float32, in pixels, convex.
    """
    eyes = np.mean(eye_centres(landmarks), axis=0)
    up = (eyes - landmarks[_CHIN]) / max(float(np.linalg.norm(eyes - landmarks[_CHIN])), 1e-6)
    height = ((landmarks - eyes) @ up).clip(0)
    raised = landmarks + (_FOREHEAD - 1) * height[:, None] * up
    return np.asarray(cv2.convexHull(raised.astype(np.float32)))[:, 0]


class _Networks:
    """A set of the networks."""

    def __init__(self) -> None:
        self.short_range = BlazeFace("blazeface_short")
        self.full_range = BlazeFace("blazeface_full")
        self.mesh = RefinedFaceMesh()

    def face(self, frame: np.ndarray, detection: Detection, *, needs_mesh: bool) -> Face | None:
        """The face of a detection; None where the mesh has to see it and does not."""
        points, presence = self.mesh.locate(frame, detection.box, detection.eyes)
        if needs_mesh and presence < _SEEN:
            return None
        return Face(detection.box.astype(np.float32), points, detection.score)

    def fit(self, frame: np.ndarray, face: Face) -> np.ndarray:
        """The mesh (478, 2) float32, px, in a face's box, whether or not it sees a face there."""
        eyes = np.stack(eye_centres(face.landmarks))
        return self.mesh.locate(np.ascontiguousarray(frame), face.box, eyes)[0]

    def closer(self, frame: np.ndarray, detection: Detection) -> Detection | None:
        """A face as the short range sees it from near; None where it does not."""
        side = max(round(detection.side * _NEARER), 1)
        x, y = np.rint((detection.box[:2] + detection.box[2:] - side) / 2)
        around = self.short_range.search(frame, (int(x), int(y), side), min_score=_SEEN)
        seen = [(overlap(detection.box, other.box), index) for index, other in enumerate(around)]
        shared, index = max(seen, default=(0.0, 0))
        return around[index] if shared > _SAME_FACE_CLOSER else None


def _same(one: Detection, other: Detection | Face) -> bool:
    return overlap(one.box, other.box) > _SAME_FACE


def _add(faces: list[Face], face: Face | None) -> None:
    """Add a face unless its mesh lies on another's."""
    if face is None:
        return
    extent = _extent(face.landmarks)
    if not any(overlap(extent, _extent(other.landmarks)) > _SAME_FACE for other in faces):
        faces.append(face)


def _extent(landmarks: np.ndarray) -> np.ndarray:
    return np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])


def _starts(length: int, side: float) -> list[int]:
    """Where squares start that cover a length with the overlap, evenly spaced."""
    count = int(np.ceil((length - side) / (side * (1 - _SHARED)) - 1e-6)) + 1
    return [round(float(start)) for start in np.linspace(0, length - side, max(count, 1))]
