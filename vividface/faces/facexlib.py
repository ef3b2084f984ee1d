"""The face backend `facexlib`: RetinaFace, BiSeNet and ArcFace, as the paper and its field use them."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TypeVar

import cv2
import numpy as np
import torch
from facexlib.detection.retinaface import RetinaFace
from facexlib.parsing.bisenet import BiSeNet
from facexlib.recognition.arcface_arch import Backbone
from torch import Tensor, nn
from torchvision.transforms.functional import normalize

from vividface.config import FacesConfig
from vividface.faces.alignment import align
from vividface.faces.base import Face, Region, rescale
from vividface.weights.networks import load_network

Network = TypeVar("Network", bound=nn.Module)
Item = TypeVar("Item")

# facexlib's own value, and the sizes that the networks were trained at.
_NMS_OVERLAP = 0.4
_PARSED_SIZE = 512
# Side of the parsed square in sides of the face's box: hair and neck are then in view, as in CelebAMask-HQ.
_CONTEXT = 2.0
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# BiSeNet's labels, those of CelebAMask-HQ.
LABELS = (
    *("background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses", "left ear"),
    *("right ear", "earring", "nose", "mouth", "upper lip", "lower lip", "neck", "necklace", "cloth", "hair"),
    "hat",
)
_REGIONS = {
    "background": Region.BACKGROUND,
    "hair": Region.HAIR,
    "neck": Region.NECK,
    "necklace": Region.CLOTH,
    "earring": Region.CLOTH,
    "cloth": Region.CLOTH,
    "hat": Region.CLOTH,
}
REGION_OF_LABEL = np.array([_REGIONS.get(label, Region.FACE) for label in LABELS], np.uint8)


class FacexlibBackend:
    """RetinaFace (Deng et al., CVPR 2020), BiSeNet (Yu et al., ECCV 2018), ArcFace (Deng et al., CVPR 2019).

    facexlib's networks, with weights from the local cache. Skin, brows, eyes, glasses, ears, nose and mouth
    are the face; earrings, necklaces and hats count as cloth. The identity network is IR-SE50.

    Args:
        faces_config: detector, size of the searched image, least score and batch size.
        device: device of the networks.

    Raises:
        MissingWeightsError: the detector's weights are not in the cache; parsing and identity raise it when
            they are first used.
        InputError: a file of weights is not of its network.
    """

    num_landmarks = 5
    # ArcFace's usual threshold of verification lies between 0.25 and 0.4.
    same_person = 0.35

    def __init__(self, faces_config: FacesConfig, device: str = "cpu") -> None:
        self._config, self._device = faces_config, torch.device(device)
        name = faces_config.detector.removeprefix("retinaface_")
        detector = RetinaFace(network_name=name, device=self._device)
        self._detector: RetinaFace = self._load(detector, faces_config.detector)
        self._lock = Lock()
        self._parser: BiSeNet | None = None
        self._recogniser: Backbone | None = None

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        """See `FaceBackend`."""
        faces: list[list[Face]] = []
        for batch in self._batches(frames):
            factor = min(self._config.detection_size / max(batch[0].shape[:2]), 1.0)
            images, scales = zip(*(rescale(frame, factor) for frame in batch), strict=True)
            faces += self._detect(np.stack(images), scales[0])
        return faces

    def parse(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """See `FaceBackend`."""
        if self._parser is None:
            self._parser = self._load(BiSeNet(num_class=len(LABELS)), "bisenet")
        squares = [_square(face) for face in faces]
        labels: list[np.ndarray] = []
        for batch in self._batches(list(zip(frames, squares, strict=True))):
            size = (_PARSED_SIZE, _PARSED_SIZE)
            images = [cv2.warpAffine(frame, square, size) for frame, square in batch]
            with torch.inference_mode():
                scores = self._parser(normalize(self._tensor(images), *_IMAGENET))[0]
            labels += list(scores.argmax(dim=1).byte().cpu().numpy())
        return np.stack(
            [
                _paste(REGION_OF_LABEL[label], square, frame.shape[:2])
                for label, square, frame in zip(labels, squares, frames, strict=True)
            ]
        )

    def fit_landmarks(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """See `FaceBackend`."""
        return np.stack([face.landmarks for face in faces])

    def embed(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """See `FaceBackend`; D = 512, from 112 x 112 px aligned by five landmarks to ArcFace's template."""
        self.require_identity()
        assert self._recogniser is not None
        vectors: list[np.ndarray] = []
        for batch in self._batches(list(zip(frames, faces, strict=True))):
            images = self._tensor([align(frame, face.landmarks) for frame, face in batch])
            with torch.inference_mode():
                vectors += list(self._recogniser(images * 2 - 1).float().cpu().numpy())
        return np.stack(vectors)

    def require_identity(self) -> None:
        """See `FaceBackend`."""
        if self._recogniser is None:
            self._recogniser = self._load(Backbone(num_layers=50, drop_ratio=0.6, mode="ir_se"), "arcface")

    def _detect(self, images: np.ndarray, scale: np.ndarray) -> list[list[Face]]:
        """The faces of images (N, H, W, 3) uint8, RGB, in pixels of the frames they were scaled from."""
        batch = torch.from_numpy(np.ascontiguousarray(images[..., ::-1])).float()
        # The detector keeps the image's size in itself between two of its steps.
        with self._lock, torch.inference_mode():
            boxes, landmarks = self._detector.batched_detect_faces(
                batch, self._config.min_score, _NMS_OVERLAP, use_origin_size=True
            )
        faces = []
        for boxes_of_image, landmarks_of_image in zip(boxes, landmarks, strict=True):
            faces_of_image = [
                Face(
                    (box[:4] / np.tile(scale, 2)).astype(np.float32),
                    (five.reshape(5, 2) / scale).astype(np.float32),
                    float(box[4]),
                )
                for box, five in zip(boxes_of_image, landmarks_of_image, strict=True)
            ]
            faces.append(sorted(faces_of_image, key=lambda face: -face.score))
        return faces

    def _batches(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        size = self._config.batch_size
        return [items[start : start + size] for start in range(0, len(items), size)]

    def _tensor(self, images: Sequence[np.ndarray]) -> Tensor:
        """Images (H, W, 3) uint8 as (N, 3, H, W) in [0, 1]."""
        batch = torch.from_numpy(np.stack(images)).to(self._device).permute(0, 3, 1, 2)
        return batch.contiguous().float() / 255

    def _load(self, network: Network, weights: str) -> Network:
        return load_network(network, weights).to(self._device)


def _square(face: Face) -> np.ndarray:
    """The affine map (2, 3) from a frame to the square that is parsed."""
    centre, side = (face.box[:2] + face.box[2:]) / 2, (face.box[2:] - face.box[:2]).max() * _CONTEXT
    scale = _PARSED_SIZE / max(float(side), 1.0)
    return np.column_stack([np.eye(2) * scale, _PARSED_SIZE / 2 - centre * scale])


def _paste(regions: np.ndarray, square: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Regions (512, 512) of a square, in the pixels of its frame."""
    inverse = cv2.invertAffineTransform(square)
    return np.asarray(cv2.warpAffine(regions, inverse, shape[1::-1], flags=cv2.INTER_NEAREST))
