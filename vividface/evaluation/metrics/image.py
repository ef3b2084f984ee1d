"""Image metrics, frame by frame, through pyiqa."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np

from vividface.evaluation.metrics.base import Clip, Metric, NotMeasurableError, as_tensor
from vividface.weights.cache import weights_path

if TYPE_CHECKING:
    from torch import Tensor, nn

# Pixels at once: two frames of 512 px, whose VGG16 features take about half a gigabyte.
_CHUNK_PIXELS = 1 << 19
_NIQE_BLOCK = 96
# px: shorter side of the images that DISTS's authors compare.
_DISTS_SIDE = 256


class _ImageMetric(Metric):
    """The mean over frames of a pyiqa network; images are RGB in [0, 1]."""

    def __init__(self) -> None:
        self._network: nn.Module = self._build().eval()

    def _build(self) -> nn.Module:
        raise NotImplementedError

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        (value,) = self.measure_all([clip])
        if isinstance(value, NotMeasurableError):
            raise value
        return value

    def measure_all(self, clips: Sequence[Clip]) -> list[float | NotMeasurableError]:
        """See `Metric`."""
        import torch

        first = clips[0]
        network = self._network.to(first.device)
        chunk = max(_CHUNK_PIXELS // (first.frames.shape[1] * first.frames.shape[2]), 1)
        values: list[list[Tensor]] = [[] for _ in clips]
        with torch.inference_mode():
            for start in range(0, len(first.frames), chunk):
                reference = []
                if self.needs_reference:
                    assert first.reference is not None
                    reference = [self._prepare(first.reference[start : start + chunk], first.device)]
                for clip, row in zip(clips, values, strict=True):
                    frames = self._prepare(clip.frames[start : start + chunk], clip.device)
                    row.append(self._compare(network, frames, *reference).flatten())
            return [self._mean(torch.cat(row)) for row in values]

    def _prepare(self, frames: np.ndarray, device: str) -> Tensor:
        """Frames as the network takes them."""
        return as_tensor(frames, device)

    def _compare(self, network: nn.Module, *images: Tensor) -> Tensor:
        values: Tensor = network(*images)
        return values

    def _mean(self, values: Tensor) -> float | NotMeasurableError:
        value = float(values.double().mean())
        return NotMeasurableError(f"{self.name} is not a number for these frames") if isnan(value) else value


class _FeatureMetric(_ImageMetric):
    """An image metric whose network compares features, and finds the reference's once for several results."""

    def __init__(self) -> None:
        super().__init__()
        self._features = [_Remembered(module, name) for module, name in self._extractors()]

    def _extractors(self) -> list[tuple[nn.Module, str]]:
        """The methods of the network's modules that one batch goes through, and the other too."""
        raise NotImplementedError

    def measure_all(self, clips: Sequence[Clip]) -> list[float | NotMeasurableError]:
        """See `Metric`."""
        try:
            return super().measure_all(clips)
        finally:
            for remembered in self._features:
                remembered.forget()


class _Remembered:
    """A method of a module that knows its results for its last two batches: one of them is the reference's.

    Args:
        module: the module, whose method is replaced.
        name: name of the method.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self._compute = getattr(module, name)
        self._known: list[tuple[Tensor, Any]] = []
        setattr(module, name, self)

    def __call__(self, batch: Tensor) -> Any:
        known = next((pair for pair in self._known if pair[0] is batch), None)
        if known is None:
            known = (batch, self._compute(batch))
        self._known = [*(pair for pair in self._known if pair is not known), known][-2:]
        return known[1]

    def forget(self) -> None:
        """Free the memory."""
        self._known = []


class PSNR(_ImageMetric):
    """Peak signal-to-noise ratio over RGB, dB: 10 log10(1 / MSE), at most 80 (pyiqa). The paper's column."""

    name, better, needs_reference = "psnr_rgb", "higher", True

    def _build(self) -> nn.Module:
        from pyiqa.archs.psnr_arch import PSNR as Network

        network: nn.Module = Network(test_y_channel=False)
        return network


class _SSIM(_ImageMetric):
    better, needs_reference = "higher", True
    luma: ClassVar[Literal["yiq", "ycbcr"] | None] = None

    def _build(self) -> nn.Module:
        from vividface.evaluation.networks.ssim import SSIM

        return SSIM(self.luma)


class SSIMLuma(_SSIM):
    """Structural similarity (Wang et al., 2004) on luma, at most 1. The paper's column.

    Luma is pyiqa's: Y of YIQ, 0.299 R + 0.587 G + 0.114 B in 0..255, rounded. Structure that is reversed
    counts as 0, as in pyiqa.
    """

    name, luma = "ssim_y", "yiq"


class SSIMYCbCr(_SSIM):
    """Structural similarity (Wang et al., 2004) on Y of BT.601's YCbCr, as in BasicSR; at most 1.

    Y lies in 16..235, not rounded, while the constants are those of 0..255: values are higher than those of
    `ssim_y`. Structure that is reversed counts below 0.
    """

    name, luma = "ssim_ycbcr", "ycbcr"


class SSIMColour(_SSIM):
    """Structural similarity (Wang et al., 2004), the mean over R, G and B, at most 1."""

    name, luma = "ssim_rgb", None


class _LPIPS(_FeatureMetric):
    def _extractors(self) -> list[tuple[nn.Module, str]]:
        modules = self._network.scaling_layer, self._network.net
        return [(cast("nn.Module", module), "forward") for module in modules]

    def _prepare(self, frames: np.ndarray, device: str) -> Tensor:
        return 2 * as_tensor(frames, device) - 1

    def _compare(self, network: nn.Module, *images: Tensor) -> Tensor:
        values: Tensor = network(*images, normalize=False)
        return values


class LPIPSAlex(_LPIPS):
    """LPIPS v0.1 (Zhang et al., CVPR 2018) on AlexNet, from 0. The paper's column, most likely."""

    name, better, needs_reference = "lpips_alex", "lower", True

    def _build(self) -> nn.Module:
        from vividface.models.perceptual import load_lpips

        return load_lpips("alex")


class LPIPSVGG(_LPIPS):
    """LPIPS v0.1 (Zhang et al., CVPR 2018) on VGG16, from 0."""

    name, better, needs_reference = "lpips_vgg", "lower", True

    def _build(self) -> nn.Module:
        from vividface.models.perceptual import load_lpips

        return load_lpips("vgg")


class DISTS(_FeatureMetric):
    """DISTS (Ding et al., TPAMI 2020), from 0: structure and texture similarity of VGG16's features.

    At the frames' own size, as in pyiqa and in the paper's loss; `dists_256` is its authors' way.
    """

    name, better, needs_reference = "dists", "lower", True

    def _build(self) -> nn.Module:
        from vividface.models.perceptual import load_dists

        return load_dists()

    def _extractors(self) -> list[tuple[nn.Module, str]]:
        return [(self._network, "forward_once")]


class DISTSResized(DISTS):
    """DISTS of frames whose shorter side is resized to 256 px, as its authors' code does; smaller ones stay.

    Bilinear with antialiasing, rounded to whole levels, as Pillow does it.
    """

    name = "dists_256"

    def _prepare(self, frames: np.ndarray, device: str) -> Tensor:
        import torch
        from torchvision.transforms.functional import resize

        if min(frames.shape[1:3]) <= _DISTS_SIDE:
            return as_tensor(frames, device)
        levels = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2)
        resized: Tensor = resize(levels, [_DISTS_SIDE], antialias=True)
        return resized.float() / 255


class MUSIQ(_ImageMetric):
    """MUSIQ (Ke et al., ICCV 2021) trained on KonIQ-10k, about 0 to 100; pyiqa. The paper's column."""

    name, better, needs_reference = "musiq", "higher", False

    def _build(self) -> nn.Module:
        from vividface.models.perceptual import load_musiq

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

    def measure_all(self, clips: Sequence[Clip]) -> list[float | NotMeasurableError]:
        """See `Metric`."""
        height, width = clips[0].frames.shape[1:3]
        if min(height, width) < _NIQE_BLOCK:
            reason = f"NIQE needs frames of {_NIQE_BLOCK} px, these are {width}x{height}"
            return [NotMeasurableError(reason)] * len(clips)
        return super().measure_all(clips)

    def _compare(self, network: nn.Module, *images: Tensor) -> Tensor:
        import torch

        try:
            return super()._compare(network, *images)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            # A frame of one colour has no statistics.
            return images[0].new_full((1,), torch.nan)
