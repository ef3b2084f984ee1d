"""Image metrics, frame by frame, through pyiqa."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from vividface.evaluation.metrics.base import Clip, Metric, NotMeasurableError
from vividface.models.perceptual import load_dists, load_lpips, load_musiq
from vividface.weights.cache import weights_path

# Pixels at once: four frames of 512 px, whose VGG16 features take about a gigabyte.
_CHUNK_PIXELS = 1 << 20
_NIQE_BLOCK = 96
# px: shorter side of the images that DISTS's authors compare.
_DISTS_SIDE = 256


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
        chunk = max(_CHUNK_PIXELS // (clip.frames.shape[1] * clip.frames.shape[2]), 1)
        frames = torch.split(clip.tensor, chunk)
        if self.needs_reference:
            pairs = zip(frames, torch.split(clip.reference_tensor, chunk), strict=True)
            values: list[Tensor] = [network(a, b).flatten() for a, b in pairs]
        else:
            values = [network(a).flatten() for a in frames]
        value = float(torch.cat(values).double().mean())
        if math.isnan(value):
            raise NotMeasurableError(f"{self.name} is not a number for these frames")
        return value


class PSNR(_ImageMetric):
    """Peak signal-to-noise ratio over RGB, dB: 10 log10(1 / MSE), at most 80 (pyiqa). The paper's column."""

    name, better, needs_reference = "psnr_rgb", "higher", True

    def _build(self) -> nn.Module:
        from pyiqa.archs.psnr_arch import PSNR as Network

        network: nn.Module = Network(test_y_channel=False)
        return network


class SSIMLuma(_ImageMetric):
    """Structural similarity (Wang et al., 2004) on luma, at most 1. The paper's column.

    Luma is pyiqa's: Y of YIQ, 0.299 R + 0.587 G + 0.114 B in 0..255, rounded. Structure that is reversed
    counts as 0, as in pyiqa.
    """

    name, better, needs_reference = "ssim_y", "higher", True

    def _build(self) -> nn.Module:
        return _SSIM("yiq")


class SSIMYCbCr(_ImageMetric):
    """Structural similarity (Wang et al., 2004) on Y of BT.601's YCbCr, as in BasicSR; at most 1.

    Y lies in 16..235, not rounded, while the constants are those of 0..255: values are higher than those of
    `ssim_y`. Structure that is reversed counts below 0.
    """

    name, better, needs_reference = "ssim_ycbcr", "higher", True

    def _build(self) -> nn.Module:
        return _SSIM("ycbcr")


class SSIMColour(_ImageMetric):
    """Structural similarity (Wang et al., 2004), the mean over R, G and B, at most 1."""

    name, better, needs_reference = "ssim_rgb", "higher", True

    def _build(self) -> nn.Module:
        return _SSIM(None)


class _SSIM(nn.Module):
    """SSIM, six times as fast as pyiqa's: the 11 x 11 Gaussian window is applied along rows, then columns.

    Args:
        luma: Y of YIQ as in pyiqa, of YCbCr as in BasicSR; None takes R, G and B as pyiqa does.
    """

    _window: Tensor

    def __init__(self, luma: Literal["yiq", "ycbcr"] | None) -> None:
        super().__init__()
        self._luma = luma
        window = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
        self.register_buffer("_window", window / window.sum())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N,) from two batches (N, 3, H, W) in [0, 1]."""
        x, y = (self._levels(image).double() for image in (x, y))
        mean_x, mean_y, xx, yy, xy = (self._smooth(image) for image in (x, y, x * x, y * y, x * y))
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        variances = xx - mean_x**2 + yy - mean_y**2
        structure = (2 * (xy - mean_x * mean_y) + c2) / (variances + c2)
        if self._luma != "ycbcr":
            structure = structure.relu()
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        return (luminance * structure).mean(dim=(1, 2, 3))

    def _levels(self, image: Tensor) -> Tensor:
        """The compared channels of a batch, in 0..255."""
        from pyiqa.archs.func_util import preprocess_rgb
        from pyiqa.utils.color_util import rgb2ycbcr

        if self._luma == "ycbcr":
            luma: Tensor = rgb2ycbcr(image)[:, :1] * 255
            return luma
        levels: Tensor = preprocess_rgb(image, self._luma == "yiq", 255)
        return levels

    def _smooth(self, image: Tensor) -> Tensor:
        rows = image.unfold(3, 11, 1) @ self._window
        return rows.unfold(2, 11, 1) @ self._window


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
    """DISTS (Ding et al., TPAMI 2020), from 0: structure and texture similarity of VGG16's features.

    At the frames' own size, as in pyiqa and in the paper's loss; `dists_256` is its authors' way.
    """

    name, better, needs_reference = "dists", "lower", True

    def _build(self) -> nn.Module:
        return load_dists()


class DISTSResized(_ImageMetric):
    """DISTS of frames whose shorter side is resized to 256 px, as its authors' code does; smaller ones stay.

    Bilinear with antialiasing, rounded to whole levels, as Pillow does it.
    """

    name, better, needs_reference = "dists_256", "lower", True

    def _build(self) -> nn.Module:
        return _ResizedDISTS()


class _ResizedDISTS(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._network = load_dists()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, 1) from two batches (N, 3, H, W) in [0, 1]."""
        distance: Tensor = self._network(*(self._resize(image) for image in (x, y)))
        return distance

    @staticmethod
    def _resize(image: Tensor) -> Tensor:
        from torchvision.transforms.functional import resize

        if min(image.shape[2:]) <= _DISTS_SIDE:
            return image
        levels = (image * 255).round().byte()
        resized: Tensor = resize(levels, [_DISTS_SIDE], antialias=True)
        return resized / 255


class MUSIQ(_ImageMetric):
    """MUSIQ (Ke et al., ICCV 2021) trained on KonIQ-10k, about 0 to 100; pyiqa. The paper's column."""

    name, better, needs_reference = "musiq", "higher", False

    def _build(self) -> nn.Module:
        return load_musiq()


class CLIPIQA(_ImageMetric):
    """CLIP-IQA (Wang et al., AAAI 2023) on CLIP's RN50, in [0, 1]. The paper's column, most likely.

    As pyiqa's `clipiqa`: the mean over five pairs of prompts (good and bad image, sharp and blurry image,
    sharp and blurry edges, high and low resolution, noise-free and noisy); the publication has one pair.
    """

    name, better, needs_reference = "clipiqa", "higher", False

    def _build(self) -> nn.Module:
        from vividface.models.clip import ClipIQA

        return ClipIQA()


class NIQE(_ImageMetric):
    """NIQE (Mittal et al., SPL 2013) on the luma of `ssim_y`, from 0; pyiqa's original model parameters.

    Its blocks are 96 px, so crops below 192 px hold too few of them for a stable value.
    """

    name, better, needs_reference = "niqe", "lower", False

    def _build(self) -> nn.Module:
        from pyiqa.archs.niqe_arch import NIQE as Network

        parameters = str(weights_path("niqe_parameters"))
        network: nn.Module = Network(test_y_channel=True, pretrained_model_path=parameters)
        return network

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        height, width = clip.frames.shape[1:3]
        if min(height, width) < _NIQE_BLOCK:
            raise NotMeasurableError(f"NIQE needs frames of {_NIQE_BLOCK} px, these are {width}x{height}")
        try:
            return super().measure(clip)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            # A frame of one colour has no statistics.
            raise NotMeasurableError(f"{self.name} is not a number for these frames") from None
