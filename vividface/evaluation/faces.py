"""The faces of a clip as the face metrics need them: landmarks, mesh and identity of every frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import load_file, save_file

from vividface.assets import asset_path
from vividface.config import FacesConfig
from vividface.faces.backend import Face, FaceBackend, load_backend
from vividface.faces.windows import interpolate_landmarks, track_faces
from vividface.files import atomic_path

_MESH_SIZE = 192
# MediaPipe enlarges the detected face by a quarter on each side before it fits the mesh.
_MESH_MARGIN = 1.5


@dataclass(frozen=True)
class ClipFaces:
    """One person over a clip of F frames.

    Attributes:
        landmarks: (F, 68, 2) float32, pixels; interpolated where `found` is 0.
        mesh: (F, 468, 2) float32, pixels.
        identity: (F, D) float32, of unit length.
        found: (F,) uint8, whether the detector found the face.
    """

    landmarks: np.ndarray
    mesh: np.ndarray
    identity: np.ndarray
    found: np.ndarray


class FaceReader:
    """Finds what `ClipFaces` holds.

    Raises:
        MissingAssetError: the mesh's network is not in the cache.
    """

    def __init__(self, faces: FacesConfig) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._backend: FaceBackend = load_backend(faces)
        self._mesh = Interpreter(str(asset_path("facemesh")), num_threads=1)
        self._mesh.allocate_tensors()

    def read(self, frames: np.ndarray, fallback: ClipFaces | None = None) -> ClipFaces:
        """Read a clip's faces.

        Args:
            frames: (F, H, W, 3) uint8, RGB.
            fallback: the true frames' faces: a restored frame whose face the detector misses is aligned by
                the true landmarks, so that a failure costs similarity instead of being left out.

        Returns:
            the faces; all zeros when no frame has one and there is no fallback.
        """
        tracked = track_faces([self._backend.detect(frame) for frame in frames])
        found = np.array([face is not None for face in tracked], np.uint8)
        if fallback is not None:
            landmarks = fallback.landmarks.copy()
            for index, face in enumerate(tracked):
                if face is not None:
                    landmarks[index] = face.landmarks
        elif found.any():
            landmarks, _ = interpolate_landmarks(tracked)
        else:
            count = len(frames)
            empty = np.zeros((count, 1), np.float32)
            return ClipFaces(np.zeros((count, 68, 2)), np.zeros((count, 468, 2)), empty, found)
        mesh = np.stack([self._fit(frame, p) for frame, p in zip(frames, landmarks, strict=True)])
        identity = np.stack(
            [self._backend.embed(frame, _face(p)) for frame, p in zip(frames, landmarks, strict=True)]
        )
        return ClipFaces(landmarks.astype(np.float32), mesh, identity, found)

    def _fit(self, frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """FaceMesh on the face's square, upright by its eyes; points back in the frame's pixels."""
        left, right = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
        angle = np.degrees(np.arctan2(*(right - left)[::-1]))
        low, high = landmarks.min(axis=0), landmarks.max(axis=0)
        side = float((high - low).max()) * _MESH_MARGIN
        centre = (low + high) / 2
        matrix = cv2.getRotationMatrix2D(tuple(map(float, centre)), angle, _MESH_SIZE / side)
        matrix[:, 2] += _MESH_SIZE / 2 - centre
        patch = cv2.warpAffine(frame, matrix, (_MESH_SIZE, _MESH_SIZE), borderMode=cv2.BORDER_REPLICATE)
        self._mesh.set_tensor(
            self._mesh.get_input_details()[0]["index"], patch[None].astype(np.float32) / 255
        )
        self._mesh.invoke()
        points = self._mesh.get_tensor(self._mesh.get_output_details()[0]["index"]).reshape(468, 3)[:, :2]
        inverse = cv2.invertAffineTransform(matrix)
        return (points @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)


def save_faces(path: Path, faces: dict[str, ClipFaces]) -> None:
    """Write clips' faces to one safetensors file."""
    tensors = {f"{clip}/{key}": value for clip, held in faces.items() for key, value in vars(held).items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def load_faces(path: Path) -> dict[str, ClipFaces]:
    """Read what `save_faces` wrote."""
    held: dict[str, dict[str, np.ndarray]] = {}
    for name, value in load_file(path).items():
        clip, _, key = name.rpartition("/")
        held.setdefault(clip, {})[key] = value
    return {clip: ClipFaces(**values) for clip, values in held.items()}


def _face(landmarks: np.ndarray) -> Face:
    box = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
    return Face(box.astype(np.float32), landmarks, 0.0)
