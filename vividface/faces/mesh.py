"""MediaPipe's FaceMesh on LiteRT: 468 points, or 478 with refined lips, eyes and irises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from vividface.faces.base import Face
from vividface.faces.landmarks import eye_centres
from vividface.faces.litert import load_network, run_network
from vividface.weights.cache import weights_path

_SIZE = 192
# MediaPipe fits the mesh to the square around the last mesh, enlarged by a half. So does every pass but the
# first, until the mesh settles (mean movement in pixels of the patch): the detector's whole pixels, where the
# first pass starts, then leave no trace in the points.
_MARGIN = 1.5
_PASSES = 10
_SETTLED = 0.03
# The same for a face that is only to be found.
_PASSES_TO_LOCATE = 4
_LOCATED = 0.5
# Probability above which the mesh lies on a face.
_PRESENT = 0.5
_GRID = 48
_CROP = 16


@dataclass(frozen=True)
class _Mesh:
    """A mesh in a patch.

    Attributes:
        points: points (468, 2) in pixels of the patch.
        presence: probability of a face.
        features: features (48, 48, C) that refine the points; None where nothing does.
    """

    points: np.ndarray
    presence: float
    features: np.ndarray | None = None


class FaceMesh:
    """FaceMesh's 468 points (Kartynnik et al., 2019), on the face turned upright by its eyes.

    Attributes:
        weights: name of the network in the cache of weights.

    Raises:
        MissingWeightsError: the network is not in the cache.
    """

    weights = "facemesh"

    def __init__(self) -> None:
        self._network = load_network(weights_path(self.weights).read_bytes())

    def fit(self, frame: np.ndarray, face: Face) -> np.ndarray:
        """Fit the mesh until it settles, so that it does not depend on the detector.

        Args:
            frame: frame (H, W, 3) uint8, RGB.
            face: face in the frame, with its landmarks.

        Returns:
            points (N, 2) float32, px.
        """
        points = face.landmarks if len(face.landmarks) >= 68 else face.box.reshape(2, 2)
        eyes = eye_centres(face.landmarks)
        return self._fit(frame, points, eyes, passes=_PASSES, settled=_SETTLED, refine_all=True)[0]

    def locate(self, frame: np.ndarray, box: np.ndarray, eyes: np.ndarray) -> tuple[np.ndarray, float]:
        """Fit the mesh in a few passes, and tell whether there is a face.

        Args:
            frame: frame (H, W, 3) uint8, RGB.
            box: box (4,) of the face, px, as BlazeFace has it.
            eyes: centres (2, 2) of the eye on the image's left and of that on its right, px.

        Returns:
            points (N, 2) float32, px, and the probability of a face.
        """
        return self._fit(
            frame,
            box.reshape(2, 2),
            (eyes[0], eyes[1]),
            passes=_PASSES_TO_LOCATE,
            settled=_LOCATED,
            refine_all=False,
        )

    def _fit(
        self,
        frame: np.ndarray,
        points: np.ndarray,
        eyes: tuple[np.ndarray, np.ndarray],
        *,
        passes: int,
        settled: float,
        refine_all: bool,
    ) -> tuple[np.ndarray, float]:
        """Points (N, 2) float32, px, and the probability of a face; see `fit` and `locate`.

        `refine_all` refines the points in every pass, and not in the last alone.
        """
        tried: list[tuple[float, _Mesh, np.ndarray]] = []
        for _ in range(passes):
            matrix = _crop_matrix(points, *eyes)
            patch = cv2.warpAffine(frame, matrix, (_SIZE, _SIZE), borderMode=cv2.BORDER_REPLICATE)
            mesh = self._run(patch.astype(np.float32)[None] / 255)
            to_frame = cv2.invertAffineTransform(matrix)
            tried.append((mesh.presence, mesh, to_frame))
            last, points = points, _moved(self._refined(mesh) if refine_all else mesh.points, to_frame)
            eyes = points[33], points[263]
            if len(last) == len(points) and _movement(points - last, matrix) < settled:
                break
        presence = tried[-1][0]
        # A mesh that loses a face on the way, as it can a profile, is not followed.
        _, mesh, to_frame = tried[-1] if presence >= _PRESENT else max(tried, key=lambda found: found[0])
        return _moved(self._refined(mesh), to_frame).astype(np.float32), presence

    def _run(self, patch: np.ndarray) -> _Mesh:
        """The mesh of a patch (1, 192, 192, 3) in [0, 1]."""
        mesh, flag = sorted(run_network(self._network, [patch]).values(), key=lambda value: -value.size)
        return _Mesh(mesh.reshape(-1, 3)[:, :2], _probability(flag))

    def _refined(self, mesh: _Mesh) -> np.ndarray:
        """The points (N, 2) of a mesh at their most exact, in pixels of the patch."""
        return mesh.points


class RefinedFaceMesh(FaceMesh):
    """FaceMesh with attention (Grishchenko et al., 2020): 468 points and five for each iris.

    The network crops its own features around lips and eyes with three operators that only MediaPipe has. It
    is run in two halves, and the crops between them are done here.
    """

    weights = "facemesh_attention"

    def __init__(self) -> None:
        content = weights_path(self.weights).read_bytes()
        options = _crop_options(content)
        self._regions = [
            _Region("transform_tensor_bilinear_v2", ["reshape_1"], options[0]),
            _Region("transform_tensor_bilinear_v2_1", ["reshape_3", "reshape_4"], options[1]),
            _Region("transform_tensor_bilinear_v2_2", ["reshape_6", "reshape_7"], options[2]),
        ]
        crops = [region.crop for region in self._regions]
        heads = [head for region in self._regions for head in region.heads]
        outputs = ["p_re_lu_3", "output_mesh_identity", "conv_faceflag"]
        self._network = load_network(_cut(content, ["input_1"], outputs))
        self._heads = load_network(_cut(content, crops, heads))

    def _run(self, patch: np.ndarray) -> _Mesh:
        first = run_network(self._network, [patch])
        points = first["output_mesh_identity"].reshape(-1, 3)[:, :2]
        return _Mesh(points, _probability(first["conv_faceflag"]), first["p_re_lu_3"][0])

    def _refined(self, mesh: _Mesh) -> np.ndarray:
        scale = _SIZE / _GRID
        transforms = [region.transform(mesh.points / scale) for region in self._regions]
        assert mesh.features is not None
        heads = run_network(
            self._heads, [_sample(mesh.features, *transform)[None] for transform in transforms]
        )
        points, irises = mesh.points.copy(), []
        for region, (linear, offset) in zip(self._regions, transforms, strict=True):
            contour, *iris = [(heads[name][0] @ linear.T + scale * offset) for name in region.heads]
            points[region.subset] = contour
            irises += iris
        return np.concatenate([points, *irises])


@dataclass(frozen=True)
class _Region:
    """Lips or an eye.

    Attributes:
        crop: name of the tensor that holds its features.
        heads: names of the tensors of its points, the contour's and, for an eye, the iris's.
        options: options of the operator that places the crop.
    """

    crop: str
    heads: list[str]
    options: dict[str, Any]

    @property
    def subset(self) -> list[int]:
        """The mesh's points that it refines, in the order in which it gives them."""
        return list(self.options["subset_idxs"])

    def transform(self, mesh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From coordinates in the crop to coordinates in the features: a matrix (2, 2) and an offset (2,).

        The crop is the upright box of the region's points, enlarged; `mesh` is in the features' pixels.
        """
        dx, dy = mesh[self.options["right_rotation_idx"]] - mesh[self.options["left_rotation_idx"]]
        length = np.hypot(dx, dy)
        rotation = np.array([[dx, -dy], [dy, dx]]) / length
        upright = mesh[self.subset] @ rotation
        low, high = upright.min(axis=0), upright.max(axis=0)
        size = (high - low) * (self.options["scale_x"], self.options["scale_y"]) / _CROP
        linear = rotation * size
        offset = rotation @ ((low + high) / 2) - linear @ np.full(2, _CROP / 2)
        return linear, offset


def _crop_matrix(points: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """From the frame to the patch around the points, upright by the eyes."""
    angle = float(np.degrees(np.arctan2(*(right - left)[::-1])))
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()) * _MARGIN, 1.0)
    centre = (low + high) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, _SIZE / side))
    matrix[:, 2] += _SIZE / 2 - centre
    return matrix


def _moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def _movement(steps: np.ndarray, matrix: np.ndarray) -> float:
    return float(np.linalg.norm(steps @ matrix[:, :2].T, axis=1).mean())


def _sample(features: np.ndarray, linear: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Bilinear samples (16, 16, C) of features (48, 48, C) where a crop lies; zero outside of them."""
    ys, xs = np.mgrid[:_CROP, :_CROP] + 0.5
    places = np.stack([xs, ys], axis=-1) @ linear.T + offset - 0.5
    inside = ((places >= 0) & (places <= _GRID - 1)).all(axis=-1)
    corner = np.clip(np.floor(places).astype(int), 0, _GRID - 2)
    fx, fy = np.moveaxis((places - corner).astype(np.float32), -1, 0)[..., None]
    x, y = corner[..., 0], corner[..., 1]
    upper = (1 - fx) * features[y, x] + fx * features[y, x + 1]
    lower = (1 - fx) * features[y + 1, x] + fx * features[y + 1, x + 1]
    return np.where(inside[..., None], (1 - fy) * upper + fy * lower, 0).astype(np.float32)


def _probability(logit: np.ndarray) -> float:
    return float(1 / (1 + np.exp(-logit.item())))


def _crop_options(content: bytes) -> list[dict[str, Any]]:
    """The options of the operators that place the crops: lips, left eye, right eye."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    codes = [code.customCode for code in model.operatorCodes]
    operators = model.subgraphs[0].operators
    placing = [o for o in operators if codes[o.opcodeIndex] == b"Landmarks2TransformMatrix"]
    return [flexbuffers.Loads(bytes(o.customOptions)) for o in placing]


def _cut(content: bytes, inputs: list[str], outputs: list[str]) -> bytes:
    """The part of a model that computes some tensors from others."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    index = {tensor.name.decode(): number for number, tensor in enumerate(graph.tensors)}
    producer = {int(t): number for number, o in enumerate(graph.operators) for t in o.outputs}
    start = {index[name] for name in inputs}
    needed: set[int] = set()
    pending = [index[name] for name in outputs]
    while pending:
        tensor = pending.pop()
        if tensor not in start and tensor in producer and producer[tensor] not in needed:
            needed.add(producer[tensor])
            pending += [int(t) for t in graph.operators[producer[tensor]].inputs]
    graph.operators = [graph.operators[number] for number in sorted(needed)]
    graph.inputs = np.array([index[name] for name in inputs], np.int32)
    graph.outputs = np.array([index[name] for name in outputs], np.int32)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
