"""DISTS and LPIPS: pyiqa's networks with weights from the asset cache instead of a download."""

from __future__ import annotations

from typing import Literal
from unittest.mock import patch

import torch
from safetensors.torch import load_file
from torch import nn
from torchvision import models as torchvision_models

from vividface.assets import asset_path
from vividface.models.autoencoders import freeze


def load_dists() -> nn.Module:
    """DISTS (Ding et al., TPAMI 2020): frozen, differentiable in its inputs.

    Called with two batches of images (N, 3, H, W) in [0, 1], it gives (N, 1) distances, 0 for equal images.

    Raises:
        MissingAssetError: its VGG16 or its weights are not in the cache.
    """
    from pyiqa.archs.dists_arch import DISTS

    vgg = torchvision_models.vgg16(weights=None)
    features = load_file(asset_path("vgg16_features"))
    vgg.load_state_dict(features, strict=False)
    weights = torch.load(asset_path("dists_weights"), weights_only=True, map_location="cpu")
    # pyiqa builds its backbone with torchvision's downloader; hand it the one that is already here.
    with patch("torchvision.models.vgg16", lambda **_: vgg):
        network = DISTS(pretrained=False)
    network.load_state_dict(weights, strict=False)
    return freeze(network)


def load_lpips(backbone: Literal["alex", "vgg"]) -> nn.Module:
    """pyiqa's LPIPS v0.1 with weights from the asset cache.

    Raises:
        MissingAssetError: the backbone or the heads are not in the cache.
    """
    from pyiqa.archs.lpips_arch import LPIPS

    builder = {"alex": "alexnet", "vgg": "vgg16"}[backbone]
    features = load_file(asset_path({"alex": "alexnet_features", "vgg": "vgg16_features"}[backbone]))
    heads = torch.load(asset_path(f"lpips_{backbone}_heads"), weights_only=True, map_location="cpu")
    base = getattr(torchvision_models, builder)(weights=None)
    base.load_state_dict(features, strict=False)
    # pyiqa builds its backbone with torchvision's downloader; hand it the one that is already here.
    with patch(f"torchvision.models.{builder}", lambda **_: base):
        network = LPIPS(pretrained=False, net=backbone)
    network.load_state_dict(heads, strict=False)
    return network.requires_grad_(False)
