"""The faces of a clip as the face metrics need them: landmarks, meshes and identity of all frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from vividface.config import FacesConfig
from vividface.errors import InputError, MissingWeightsError
from vividface.faces.base import Face
from vividface.faces.load import load_backend
from vividface.faces.mesh import FaceMesh, RefinedFaceMesh
from vividface.faces.tracking import follow, interpolate, overlap
from vividface.files import atomic_path

if TYPE_CHECKING:
    from vividface.faces.mobilefacenet import MobileFaceNetIdentity

_MESHES: dict[str, type[FaceMesh]] = {"mesh_478": RefinedFaceMesh, "mesh_468": FaceMesh}
FEATURES = ("identity", "identity_mobilefacenet", "fitted_landmarks", *_MESHES)
# Overlap (intersection over union) from which a detection is of the face that is expected in a place.
_SAME_FACE = 0.3


@dataclass(frozen=True)
class ClipFaces:
    """One person over a clip of F frames.

    Attributes:
        boxes: boxes (F, 4) float32, px, of all frames, also of those without a detection; zeros where nothing
            tells where the face is.
        landmarks: landmarks (F, K, 2) float32, px, of all frames; K = 68, 478 or 5, as the backend has it.
        found: whether the detector found the face, (F,) bool.
        features: features of all frames, as far as they were asked for: `identity`, of the backend's network,
            and `identity_mobilefacenet`, (F, D) float32, of unit length; `fitted_landmarks` (F, K, 2)
            float32, px, fitted in the box of a frame without a detection; `mesh_478` (F, 478, 2) and
            `mesh_468` (F, 468, 2) float32, px.
    """

    boxes: np.ndarray
    landmarks: np.ndarray
    found: np.ndarray
    features: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def located(self) -> bool:
        """Whether anything tells where the face is."""
        return bool(self.boxes.any())

    def part(self, start: int, num_frames: int) -> ClipFaces:
        """The faces of some consecutive frames."""
        end = start + num_frames
        features = {name: array[start:end] for name, array in self.features.items()}
        return ClipFaces(self.boxes[start:end], self.landmarks[start:end], self.found[start:end], features)

    def resized(self, scale: tuple[float, float]) -> ClipFaces:
        """The places of the faces, without features, in frames resized by factors along x and y."""
        factors = np.array(scale, np.float32)
        return ClipFaces(self.boxes * np.tile(factors, 2), self.landmarks * factors, self.found)


class FaceReader:
    """Finds the faces of clips and their features.

    Args:
        faces_config: the face backend.
        device: device of its networks.

    Raises:
        MissingWeightsError: the face backend's networks are not installed.
    """

    def __init__(self, faces_config: FacesConfig, device: str = "cpu") -> None:
        self._backend = load_backend(faces_config, device)
        self._device = device
        self._mobilefacenet: MobileFaceNetIdentity | None = None
        self._meshes: dict[str, FaceMesh] = {}

    def prepare(self, feature: str) -> None:
        """Load what a feature needs; `MissingWeightsError` if it is not in the cache."""
        if feature == "identity":
            self._backend.require_identity()
        elif feature == "identity_mobilefacenet" and self._mobilefacenet is None:
            from vividface.faces.mobilefacenet import MobileFaceNetIdentity

            self._mobilefacenet = MobileFaceNetIdentity(self._device)
        elif feature in _MESHES and feature not in self._meshes:
            self._meshes[feature] = _MESHES[feature]()

    def read(
        self,
        frames: np.ndarray,
        features: Collection[str],
        *,
        earlier: ClipFaces | None = None,
        expected: ClipFaces | None = None,
    ) -> ClipFaces:
        """Read a clip's faces.

        Args:
            frames: frames (F, H, W, 3) uint8, RGB.
            features: names of `FEATURES` to compute.
            earlier: faces read from these frames before; only the features that they lack are computed.
            expected: the reference's faces, or the degraded input's: in each frame the detection that
                overlaps the expected face most is taken, if by 0.3 at least (intersection over union), else
                the expected face's place, so that a failure counts instead of being left out. None follows
                the person with the largest face, and interpolates frames without a detection in time.

        Raises:
            MissingWeightsError: a feature's network is not in the cache.
        """
        faces = earlier or (self._follow(frames) if expected is None else self._match(frames, expected))
        computed = dict(faces.features)
        if faces.located:
            for feature in features:
                if feature not in computed:
                    self.prepare(feature)
                    computed[feature] = self._compute(feature, frames, faces)
        return ClipFaces(faces.boxes, faces.landmarks, faces.found, computed)

    def _follow(self, frames: np.ndarray) -> ClipFaces:
        """The person with the largest face."""
        tracked = follow(self._backend, [list(frames)])
        if any(face is not None for face in tracked):
            return ClipFaces(*interpolate(tracked))
        boxes = np.zeros((len(frames), 4), np.float32)
        landmarks = np.zeros((len(frames), self._backend.num_landmarks, 2), np.float32)
        return ClipFaces(boxes, landmarks, np.zeros(len(frames), bool))

    def _match(self, frames: np.ndarray, expected: ClipFaces) -> ClipFaces:
        """The person who is expected; nobody where nobody is."""
        boxes, landmarks = expected.boxes.copy(), expected.landmarks.copy()
        found = np.zeros(len(frames), bool)
        detected = self._backend.detect(list(frames)) if expected.located else []
        for index, faces in enumerate(detected):
            overlaps = [overlap(face.box, expected.boxes[index]) for face in faces]
            if max(overlaps, default=0.0) >= _SAME_FACE:
                face = faces[int(np.argmax(overlaps))]
                boxes[index], landmarks[index], found[index] = face.box, face.landmarks, True
        return ClipFaces(boxes, landmarks, found)

    def _compute(self, feature: str, frames: np.ndarray, clip: ClipFaces) -> np.ndarray:
        faces = [Face(*pair, 0.0) for pair in zip(clip.boxes, clip.landmarks, strict=True)]
        if feature == "fitted_landmarks":
            return self._fit_landmarks(frames, faces, clip)
        if feature in _MESHES:
            return np.stack([self._meshes[feature].fit(*pair) for pair in zip(frames, faces, strict=True)])
        network = self._backend if feature == "identity" else self._mobilefacenet
        assert network is not None
        return network.embed(list(frames), faces)

    def _fit_landmarks(self, frames: np.ndarray, faces: list[Face], clip: ClipFaces) -> np.ndarray:
        """The landmarks (F, K, 2) of a clip: the detection's, or fitted where there is none."""
        landmarks, lost = clip.landmarks.copy(), np.flatnonzero(~clip.found)
        if len(lost):
            fitted = self._backend.fit_landmarks([frames[i] for i in lost], [faces[i] for i in lost])
            landmarks[lost] = fitted
        return landmarks


def available_features(reader: FaceReader) -> list[str]:
    """The features whose networks exist here."""
    ready = []
    for feature in FEATURES:
        try:
            reader.prepare(feature)
        except MissingWeightsError:
            continue
        ready.append(feature)
    return ready


def save_faces(
    path: Path,
    faces: Mapping[str, ClipFaces],
    *,
    set_features: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    device: str = "cpu",
) -> None:
    """Write clips' faces to one safetensors file: `{clip}.boxes`, `{clip}.landmarks`, `{clip}.found`, ...

    Args:
        path: safetensors file.
        faces: faces by clip.
        set_features: features (K, D) by clip and metric of sets, kept as `{clip}.{metric}`; None for none.
        device: device that these were computed on.
    """
    tensors = {
        f"{clip}.{name}": array
        for clip, arrays in (set_features or {}).items()
        for name, array in arrays.items()
    }
    for clip, clip_faces in faces.items():
        arrays = {
            "boxes": clip_faces.boxes,
            "landmarks": clip_faces.landmarks,
            "found": clip_faces.found.astype(np.uint8),
            **clip_faces.features,
        }
        tensors.update({f"{clip}.{name}": np.ascontiguousarray(array) for name, array in arrays.items()})
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, {"computed_by": _computed_by(device)}))


def load_faces(path: Path) -> dict[str, ClipFaces]:
    """Read what `save_faces` wrote.

    Raises:
        InputError: the file holds something else.
    """
    by_clip: dict[str, dict[str, np.ndarray]] = {}
    try:
        for key, array in load_file(path).items():
            clip, _, name = key.rpartition(".")
            by_clip.setdefault(clip, {})[name] = array
        return {
            clip: ClipFaces(
                arrays["boxes"],
                arrays["landmarks"],
                arrays["found"].astype(bool),
                {name: array for name, array in arrays.items() if name in FEATURES},
            )
            for clip, arrays in by_clip.items()
        }
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(
            f"{path}: does not hold a benchmark's faces ({error}); delete it and make it again"
        ) from None


def load_set_features(
    path: Path, metrics: Collection[str], *, device: str
) -> dict[str, dict[str, np.ndarray]]:
    """Read the features of metrics of sets that `save_faces` wrote.

    Args:
        path: file of `save_faces`, which `load_faces` has read.
        metrics: names of the metrics.
        device: device that would compute them.

    Returns:
        features (K, D) by clip and metric, as far as the file holds them, bit for bit as they would be.
    """
    features: dict[str, dict[str, np.ndarray]] = {}
    with safe_open(path, "numpy") as file:
        if (file.metadata() or {}).get("computed_by") == _computed_by(device):
            for key in file.keys():  # noqa: SIM118 - a file of safetensors is no mapping
                clip, _, name = key.rpartition(".")
                if name in metrics:
                    features.setdefault(clip, {})[name] = file.get_tensor(key)
    return features


def _computed_by(device: str) -> str:
    """What rounding depends on: another number of threads adds up in another order."""
    import torch

    return f"{device}, {torch.get_num_threads()} threads"
