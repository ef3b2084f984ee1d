"""Image metrics, frame by frame, through pyiqa."""

from __future__ import annotations

from typing import Literal
from unittest.mock import patch

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models as torchvision_models

from vividface.assets import asset_path, cache_directory
from vividface.errors import MissingAssetError
from vividface.evaluation.metrics.base import Clip, Metric
from vividface.models.perceptual import load_dists

_CHUNK = 16


class _ImageMetric(Metric):
    """The mean over frames of a pyiqa network; images are RGB in [0, 1]."""

    def __init__(self) -> None:
        self._network: nn.Module = self._build().eval()

    def _build(self) -> nn.Module:
        raise NotImplementedError

    @torch.inference_mode()
    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        network = self._network.to(clip.device)
        frames = clip.tensor.split(_CHUNK)
        if self.needs_reference:
            pairs = zip(frames, clip.reference_tensor.split(_CHUNK), strict=True)
            values: list[Tensor] = [network(a, b).flatten() for a, b in pairs]
        else:
            values = [network(a).flatten() for a in frames]
        return float(torch.cat(values).double().mean())


class PSNR(_ImageMetric):
    """Peak signal-to-noise ratio over RGB, dB: 10 log10(1 / MSE). The paper's column."""

    name, better, needs_reference = "psnr_rgb", "higher", True

    def _build(self) -> nn.Module:
        from pyiqa.archs.psnr_arch import PSNR as Network

        return Network(test_y_channel=False)


class SSIMLuma(_ImageMetric):
    """Structural similarity (Wang et al., 2004) on the Y channel of YCbCr, at most 1. The paper's column."""

    name, better, needs_reference = "ssim_y", "higher", True

    def _build(self) -> nn.Module:
        from pyiqa.archs.ssim_arch import SSIM as Network

        return Network(downsample=False, test_y_channel=True)


class SSIMColour(_ImageMetric):
    """Structural similarity (Wang et al., 2004), the mean over R, G and B, at most 1."""

    name, better, needs_reference = "ssim_rgb", "higher", True

    def _build(self) -> nn.Module:
        from pyiqa.archs.ssim_arch import SSIM as Network

        return Network(downsample=False, test_y_channel=False)


class LPIPSAlex(_ImageMetric):
    """LPIPS v0.1 (Zhang et al., CVPR 2018) on AlexNet, from 0. The paper's column, most likely."""

    name, better, needs_reference = "lpips_alex", "lower", True

    def _build(self) -> nn.Module:
        return load_lpips("alex")


class LPIPSVGG(_ImageMetric):
    """LPIPS v0.1 (Zhang et al., CVPR 2018) on VGG16, from 0."""

    name, better, needs_reference = "lpips_vgg", "lower", True

    def _build(self) -> nn.Module:
        return load_lpips("vgg")


class DISTS(_ImageMetric):
    """DISTS (Ding et al., TPAMI 2020), from 0: structure and texture similarity of VGG16's features."""

    name, better, needs_reference = "dists", "lower", True

    def _build(self) -> nn.Module:
        return load_dists()


class NIQE(_ImageMetric):
    """NIQE (Mittal et al., SPL 2013) on the Y channel, from 0; pyiqa's original model parameters.

    Its blocks are 96 px, so crops below 192 px hold too few of them for a stable value.
    """

    name, better, needs_reference = "niqe", "lower", False

    def _build(self) -> nn.Module:
        from pyiqa.archs.niqe_arch import NIQE as Network

        parameters = cache_directory() / "assets" / "niqe_modelparameters.mat"
        if not parameters.is_file():
            raise MissingAssetError(
                "niqe: its parameters are in no package; put niqe_modelparameters.mat into "
                f"{parameters.parent}"
            )
        return Network(test_y_channel=True, pretrained_model_path=str(parameters))


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
