"""Layers of Wan's autoencoder that give diffusers' values with fewer passes over memory.

Uncompiled, an operation reads its input from memory and writes its output there; of the bytes that the
autoencoder then moves, diffusers' layers below take the larger part (docs/benchmarks.md).
"""

from __future__ import annotations

from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanRMS_norm, WanUpsample
from torch import Tensor, cat, nn
from torch.nn import functional as F


class ChannelNorm(nn.Module):
    """`WanRMS_norm` in one pass instead of seven, where channels lie last in memory; equal up to rounding.

    Args:
        norm: normalisation over the second axis, whose weights are shared.
    """

    def __init__(self, norm: WanRMS_norm) -> None:
        super().__init__()
        self.gamma = norm.gamma
        self.bias = norm.bias

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...), divided by the root of the mean square over C, times `gamma`."""
        num_channels = x.shape[1]
        # Diffusers' divides by the norm or 1e-12, whichever is larger.
        eps = 1e-24 / num_channels
        last = F.rms_norm(x.movedim(1, -1), (num_channels,), self.gamma.flatten(), eps)
        normalised = last.movedim(-1, 1)
        return normalised + self.bias if isinstance(self.bias, Tensor) else normalised


class CausalConv(WanCausalConv3d):
    """`WanCausalConv3d` whose frames are padded in space by the convolution, not by a copy of them."""

    def forward(self, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
        """See diffusers' `WanCausalConv3d`; `cache_x` are the frames before."""
        across, _, down, _, before, _ = self._padding
        if cache_x is not None and before:
            x = cat([cache_x.to(x.device), x], dim=2)
            before -= cache_x.shape[2]
        if before:
            x = F.pad(x, (0, 0, 0, 0, before, 0))
        return F.conv3d(x, self.weight, self.bias, self.stride, (0, down, across))


def use_fast_layers(model: nn.Module) -> None:
    """Replace diffusers' layers within an autoencoder; the names of its weights stay."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, WanRMS_norm) and child.channel_first:
                setattr(module, name, ChannelNorm(child))
            elif type(child) is WanCausalConv3d:
                child.__class__ = CausalConv
            elif isinstance(child, WanUpsample) and child.mode == "nearest-exact":
                # A copy of pixels needs no float32.
                child.__class__ = nn.Upsample
