"""DISTS as a loss: pyiqa's network with weights from the asset cache instead of a download."""

from __future__ import annotations

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
