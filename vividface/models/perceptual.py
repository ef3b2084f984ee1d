"""DISTS, LPIPS and MUSIQ: pyiqa's networks with weights from the cache instead of a download."""

from __future__ import annotations

from typing import Literal
from unittest.mock import patch

import torch
from safetensors.torch import load_file
from torch import nn

from vividface.models.base import freeze
from vividface.weights.cache import weights_path
from vividface.weights.networks import load_network


def load_dists() -> nn.Module:
    """DISTS (Ding et al., TPAMI 2020): frozen, differentiable in its inputs.

    Called with two batches of images (N, 3, H, W) in [0, 1], it gives (N, 1) distances, 0 for equal images.

    Raises:
        MissingWeightsError: its VGG16 or its weights are not in the cache.
    """
    from pyiqa.archs.dists_arch import DISTS

    vgg = _load_backbone("vgg16")
    weights = torch.load(weights_path("dists_weights"), weights_only=True, map_location="cpu")
    # pyiqa builds its backbone with torchvision's downloader; hand it the one that is already here.
    with patch("torchvision.models.vgg16", lambda **_: vgg):
        network: nn.Module = DISTS(pretrained=False)
    network.load_state_dict(weights, strict=False)
    return freeze(network)


def load_lpips(backbone: Literal["alex", "vgg"]) -> nn.Module:
    """LPIPS v0.1 (Zhang et al., CVPR 2018): differentiable in its inputs, not in its weights.

    Called with two batches of images (N, 3, H, W) in [0, 1], it gives (N, 1) distances, 0 for equal images.

    Args:
        backbone: network whose features are compared, AlexNet or VGG16.

    Raises:
        MissingWeightsError: the backbone or the heads are not in the cache.
    """
    from pyiqa.archs.lpips_arch import LPIPS

    builder = {"alex": "alexnet", "vgg": "vgg16"}[backbone]
    base = _load_backbone(builder)
    heads = torch.load(weights_path(f"lpips_{backbone}_heads"), weights_only=True, map_location="cpu")
    # pyiqa builds its backbone with torchvision's downloader; hand it the one that is already here.
    with patch(f"torchvision.models.{builder}", lambda **_: base):
        network: nn.Module = LPIPS(pretrained=False, net=backbone)
    network.load_state_dict(heads, strict=False)
    return network.requires_grad_(requires_grad=False)


def load_musiq() -> nn.Module:
    """MUSIQ (Ke et al., ICCV 2021), trained on KonIQ-10k: frozen.

    Called with a batch of images (N, 3, H, W) in [0, 1], it gives (N, 1) scores of about 0 to 100, higher for
    better images. It sees each at its own size and at longer sides of 224 and 384 px.

    Raises:
        MissingWeightsError: its weights are not in the cache.
        InputError: the file of weights is not of this network.
    """
    from pyiqa.archs.musiq_arch import MUSIQ

    network: nn.Module = MUSIQ(pretrained=False)
    return load_network(network, "musiq")


def _load_backbone(builder: str) -> nn.Module:
    """A network of torchvision with the weights of its features; its classifier, most of it, stays empty."""
    from torchvision import models

    features = load_file(weights_path(f"{builder}_features"))
    with torch.device("meta"):
        network: nn.Module = getattr(models, builder)(weights=None)
    network.load_state_dict(features, strict=False, assign=True)
    return network
