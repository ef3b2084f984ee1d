"""Identity by MobileFaceNet, by the landmarks of any backend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops import Conv2dNormActivation
from torchvision.transforms.functional import normalize

from vividface.faces.alignment import align
from vividface.faces.base import Face
from vividface.weights.networks import load_network

# Faces embedded at once.
_BATCH = 16
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Expansion, channels, number and first stride of the inverted residuals (Table 1 of the publication).
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


class MobileFaceNet(nn.Module):
    """MobileFaceNet (Chen et al., CCBR 2018) in the shape and with the names of foamliu's release.

    It has ReLU6 and ReLU in place of the publication's PReLU, and a bias in its last convolution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv2dNormActivation(3, 64, stride=2, activation_layer=nn.ReLU6)
        self.dw_conv = nn.ModuleDict(
            {
                "depthwise": nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False),
                "bn1": nn.BatchNorm2d(64),
                "pointwise": nn.Conv2d(64, 64, 1, bias=False),
                "bn2": nn.BatchNorm2d(64),
            }
        )
        blocks, channels = [], 64
        for expansion, width, count, stride in _STAGES:
            for index in range(count):
                blocks.append(InvertedResidual(channels, width, stride if index == 0 else 1, expansion))
                channels = width
        self.features = nn.Sequential(*blocks)
        self.conv2 = Conv2dNormActivation(128, 512, 1, activation_layer=nn.ReLU6)
        self.gdconv = nn.ModuleDict(
            {"depthwise": nn.Conv2d(512, 512, 7, groups=512, bias=False), "bn": nn.BatchNorm2d(512)}
        )
        self.conv3 = nn.Conv2d(512, 128, 1)
        self.bn = nn.BatchNorm2d(128)

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (N, 128) of faces (N, 3, 112, 112), RGB, normalised by ImageNet's mean and deviation."""
        x = self.conv1(x)
        x = self.dw_conv["bn1"](self.dw_conv["depthwise"](x)).relu()
        x = self.dw_conv["bn2"](self.dw_conv["pointwise"](x)).relu()
        x = self.conv2(self.features(x))
        x = self.gdconv["bn"](self.gdconv["depthwise"](x))
        embeddings: Tensor = self.bn(self.conv3(x)).flatten(1)
        return embeddings


class MobileFaceNetIdentity:
    """MobileFaceNet's 128-D identity, trained with ArcFace's loss on a refined MS-Celeb-1M.

    Args:
        device: device of the network.

    Raises:
        MissingWeightsError: its weights are not in the cache.
        InputError: the file of weights is not of this network.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._network = load_network(MobileFaceNet(), "mobilefacenet").to(self._device)

    @torch.inference_mode()
    def embed(self, frames: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
        """The identity of one face per frame: (F, 128) float32, of unit length.

        Args:
            frames: F frames (H, W, 3) uint8, RGB.
            faces: one face per frame, with landmarks of any backend.
        """
        pairs = zip(frames, faces, strict=True)
        aligned = np.stack([align(frame, face.landmarks) for frame, face in pairs])
        images = torch.from_numpy(aligned).permute(0, 3, 1, 2)
        parts = torch.split(images, _BATCH)
        batches = [normalize(part.to(self._device) / 255, *_IMAGENET) for part in parts]
        embeddings = torch.cat([self._network(batch) for batch in batches])
        return nn.functional.normalize(embeddings).cpu().numpy()
