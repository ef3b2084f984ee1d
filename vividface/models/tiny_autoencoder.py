"""A tiny autoencoder of Wan 2.1's latents, for previews and for speed: TAEHV's `taew2_1`."""

from __future__ import annotations

from functools import cached_property
from typing import cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vividface.models.base import TEMPORAL, check_frames, fingerprint

# Latent frames that are decoded, and encoded, at once: memory does not grow with the clip's length.
_CHUNK = 4
# By the index of a block, the last frame that it has seen.
_Memory = dict[int, Tensor]


class TinyWanAutoencoder(ModelMixin, ConfigMixin):
    """Maps frames to Wan 2.1's latents and back with about 11M parameters, most of them in the decoder.

    Layers stand in the order, and under the names, of the published `taew2_1.pth` (Ollin Boer Bohan, TAEHV,
    MIT). Its latents are the normalised ones already, its pixels lie in [0, 1]. Its encoder takes frames in
    groups of four from the first one on, so it looks up to three frames ahead of Wan's; of the decoder's
    first group only the last frame is kept, which aligns the others with Wan's.

    Args:
        latent_channels: number of channels of the latents, 16 for Wan 2.1.
        width: number of channels of the encoder and of the decoder's last stage.
    """

    @register_to_config
    def __init__(self, *, latent_channels: int = 16, width: int = 64) -> None:
        super().__init__()
        encoder: list[nn.Module] = [_conv(3, width), nn.ReLU()]
        for stride in (2, 2, 1):
            encoder += [_TimePool(width, stride=stride), _conv(width, width, stride=2, bias=False)]
            encoder += [_MemoryBlock(width) for _ in range(3)]
        self.encoder = _Layers(*encoder, _conv(width, latent_channels))
        channels = [4 * width, 2 * width, width, width]
        decoder: list[nn.Module] = [_SoftClamp(), _conv(latent_channels, channels[0]), nn.ReLU()]
        for before, after, stride in zip(channels, channels[1:], (1, 2, 2), strict=False):
            decoder += [_MemoryBlock(before) for _ in range(3)]
            decoder += [nn.Upsample(scale_factor=2), _TimeGrow(before, stride=stride)]
            decoder.append(_conv(before, after, bias=False))
        self.decoder = _Layers(*decoder, nn.ReLU(), _conv(width, 3))

    @property
    def latent_channels(self) -> int:
        """C, 16 for Wan 2.1."""
        return int(self.config.latent_channels)

    @cached_property
    def fingerprint(self) -> str:
        """Name of the autoencoder with its settings and the weights that it has when it is first asked."""
        return fingerprint("tiny-wan", self.config, self)

    @apply_forward_hook
    def encode_video(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, 1 + T, H, W) in [-1, 1] to latents (B, C, 1 + T/4, H/8, W/8)."""
        check_frames(frames)
        groups = torch.cat([frames, frames[:, :, -1:].expand(-1, -1, TEMPORAL - 1, -1, -1)], dim=2)
        return _apply(self.encoder, (groups + 1) / 2, chunk=TEMPORAL * _CHUNK)

    @apply_forward_hook
    def decode_video(self, latents: Tensor, *, checkpointed: bool = False) -> Tensor:
        """Latents (B, C, 1 + T/4, H/8, W/8) to frames (B, 3, 1 + T, H, W).

        `checkpointed` keeps what enters each block of the decoder, and computes the rest again.
        """
        decoded = _apply(self.decoder, latents, chunk=_CHUNK, checkpointed=checkpointed)
        return decoded[:, :, TEMPORAL - 1 :] * 2 - 1


class _Layers(nn.Sequential):
    """The layers of one direction, called with a chunk (B, C, T, H, W) and what its blocks remember."""

    def forward(  # type: ignore[override]
        self, video: Tensor, memory: _Memory, *, checkpointed: bool = False
    ) -> Tensor:
        batch = video.shape[0]
        x = video.transpose(1, 2).flatten(0, 1)
        for index, layer in enumerate(self):
            if isinstance(layer, _MemoryBlock):
                frames = x.view(batch, -1, *x.shape[1:])
                before = memory.get(index, torch.zeros_like(frames[:, :1]))
                memory[index] = frames[:, -1:]
                past = torch.cat([before, frames[:, :-1]], dim=1).flatten(0, 1)
                x = checkpoint(layer, x, past, use_reentrant=False) if checkpointed else layer(x, past)
            else:
                x = layer(x)
        return x.view(batch, -1, *x.shape[1:]).transpose(1, 2)


class _MemoryBlock(nn.Module):
    """A residual block that sees each frame and the one before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(2 * width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width)
        )

    def forward(self, x: Tensor, past: Tensor) -> Tensor:
        return F.relu(cast(Tensor, self.conv(torch.cat([x, past], dim=1))) + x)


class _TimePool(nn.Module):
    """Joins `stride` successive frames to one."""

    def __init__(self, width: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(width * stride, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        return cast(Tensor, self.conv(x.reshape(-1, self.stride * channels, height, width)))


class _TimeGrow(nn.Module):
    """Makes `stride` successive frames of each."""

    def __init__(self, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        return cast(Tensor, self.conv(x)).reshape(-1, channels, height, width)


class _SoftClamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


def _conv(inputs: int, outputs: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)


def _apply(layers: _Layers, video: Tensor, *, chunk: int, checkpointed: bool = False) -> Tensor:
    """Apply layers to (B, C, T, H, W) in chunks of frames; blocks remember the frame before the chunk."""
    memory: _Memory = {}
    parts = [layers(part, memory, checkpointed=checkpointed) for part in torch.split(video, chunk, dim=2)]
    return torch.cat(parts, dim=2)
