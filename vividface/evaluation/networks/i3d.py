"""I3D, the video classifier whose outputs FVD compares.

Carreira and Zisserman, "Quo Vadis, Action Recognition?" (CVPR 2017): Inception-v1 with its filters inflated
to three dimensions, the RGB stream, trained on Kinetics-400. The layers have the names of DeepMind's release,
and their padding is TensorFlow's SAME. Batch normalisation is folded into the convolutions.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from vividface.models.base import freeze
from vividface.weights.cache import weights_path

SIZE = 224
NUM_CLASSES = 400

_Shape = tuple[int, int, int]

# Channels of an Inception block: of its input, and of its convolutions from branch to branch.
_BLOCKS: dict[str, tuple[int, _Shape, _Shape]] = {
    "Mixed_3b": (192, (64, 96, 128), (16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192), (32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208), (16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224), (24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256), (24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288), (32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320), (32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320), (32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384), (48, 128, 128)),
}


class I3D(nn.Module):
    """I3D, from frames to Kinetics-400's logits."""

    def __init__(self) -> None:
        super().__init__()
        blocks = {name: _Inception(*channels) for name, channels in _BLOCKS.items()}
        self.features = nn.Sequential(
            OrderedDict(
                Conv3d_1a_7x7=_Convolution(3, 64, (7, 7, 7), (2, 2, 2)),
                MaxPool3d_2a_3x3=_MaxPool((1, 3, 3), (1, 2, 2)),
                Conv3d_2b_1x1=_Convolution(64, 64),
                Conv3d_2c_3x3=_Convolution(64, 192, (3, 3, 3)),
                MaxPool3d_3a_3x3=_MaxPool((1, 3, 3), (1, 2, 2)),
                **{name: block for name, block in blocks.items() if name.startswith("Mixed_3")},
                MaxPool3d_4a_3x3=_MaxPool((3, 3, 3), (2, 2, 2)),
                **{name: block for name, block in blocks.items() if name.startswith("Mixed_4")},
                MaxPool3d_5a_2x2=_MaxPool((2, 2, 2), (2, 2, 2)),
                **{name: block for name, block in blocks.items() if name.startswith("Mixed_5")},
            )
        )
        self.logits = nn.Conv3d(1024, NUM_CLASSES, 1)

    def forward(self, videos: Tensor) -> Tensor:
        """Classify videos.

        Args:
            videos: videos (N, 3, F, 224, 224), RGB in [-1, 1], of at least nine frames.

        Returns:
            logits (N, 400), the mean over time; their softmax gives the classes' probabilities.
        """
        pooled = F.avg_pool3d(self.features(videos), (2, SIZE // 32, SIZE // 32), stride=1)
        logits: Tensor = self.logits(pooled).mean(dim=(2, 3, 4))
        return logits


def load_i3d() -> I3D:
    """I3D with DeepMind's weights, for inference.

    Raises:
        MissingWeightsError: its weights are not in the cache.
    """
    network = I3D()
    network.load_state_dict(load_file(weights_path("i3d_kinetics400")))
    return freeze(network).to(memory_format=torch.channels_last_3d)


def prepare_window(frames: Tensor) -> Tensor:
    """Frames as I3D takes them.

    Args:
        frames: frames (F, H, W, 3) uint8, RGB.

    Returns:
        the centre (3, F, 224, 224) in [-1, 1], the shorter side resized to 224 px.
    """
    height, width = frames.shape[1:3]
    shorter = min(height, width)
    size = [-(-side * SIZE // shorter) for side in (height, width)]
    images = F.interpolate(frames.permute(0, 3, 1, 2).float(), size, mode="bilinear", align_corners=False)
    top, left = ((side - SIZE) // 2 for side in size)
    centre = images[:, :, top : top + SIZE, left : left + SIZE]
    return centre.transpose(0, 1) / 127.5 - 1


def pad_same(videos: Tensor, kernel: _Shape, stride: _Shape) -> Tensor:
    """Pad with zeros as TensorFlow's SAME does: size n becomes ceil(n / stride) in the layer that follows.

    Args:
        videos: tensor (N, C, F, H, W).
        kernel: size of the layer's kernel in time, height and width.
        stride: steps of the layer in time, height and width.
    """
    padding: list[int] = []
    for size, width, step in zip(videos.shape[2:], kernel, stride, strict=True):
        total = max((-(-size // step) - 1) * step + width - size, 0)
        # An odd one lies at the end; F.pad takes the last dimension first.
        padding = [total // 2, total - total // 2, *padding]
    return F.pad(videos, padding) if any(padding) else videos


class _Convolution(nn.Conv3d):
    """A convolution with SAME padding, and a rectifier."""

    def __init__(
        self, inputs: int, outputs: int, kernel: _Shape = (1, 1, 1), stride: _Shape = (1, 1, 1)
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        self._kernel, self._stride = kernel, stride

    def forward(self, videos: Tensor) -> Tensor:
        return F.relu(super().forward(pad_same(videos, self._kernel, self._stride)))


class _MaxPool(nn.Module):
    """The maximum with SAME padding; of rectified values, so that the zeros around them change nothing."""

    def __init__(self, kernel: _Shape, stride: _Shape = (1, 1, 1)) -> None:
        super().__init__()
        self._kernel, self._stride = kernel, stride

    def forward(self, videos: Tensor) -> Tensor:
        return F.max_pool3d(pad_same(videos, self._kernel, self._stride), self._kernel, self._stride)


class _Inception(nn.Module):
    """Four branches side by side: 1x1, 3x3, another 3x3, and a maximum."""

    def __init__(self, inputs: int, first: _Shape, second: _Shape) -> None:
        super().__init__()
        single, reduced_1, wide_1 = first
        reduced_2, wide_2, pooled = second
        branches: list[OrderedDict[str, nn.Module]] = [
            OrderedDict(Conv3d_0a_1x1=_Convolution(inputs, single)),
            OrderedDict(
                Conv3d_0a_1x1=_Convolution(inputs, reduced_1),
                Conv3d_0b_3x3=_Convolution(reduced_1, wide_1, (3, 3, 3)),
            ),
            OrderedDict(
                Conv3d_0a_1x1=_Convolution(inputs, reduced_2),
                Conv3d_0b_3x3=_Convolution(reduced_2, wide_2, (3, 3, 3)),
            ),
            OrderedDict(
                MaxPool3d_0a_3x3=_MaxPool((3, 3, 3)),
                Conv3d_0b_1x1=_Convolution(inputs, pooled),
            ),
        ]
        self.Branch_0, self.Branch_1, self.Branch_2, self.Branch_3 = map(nn.Sequential, branches)

    def forward(self, videos: Tensor) -> Tensor:
        branches = (self.Branch_0, self.Branch_1, self.Branch_2, self.Branch_3)
        return torch.cat([branch(videos) for branch in branches], dim=1)
