"""Autoencoders: Wan 2.1's, and an exactly invertible DCT."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from diffusers import AutoencoderKLWan
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from vividface.models.base import SPATIAL, TEMPORAL, check_frames, fingerprint


class DCTAutoencoder(ModelMixin, ConfigMixin):
    """A causal, orthonormal 3D discrete cosine transform over blocks of 4 x 8 x 8: the nano autoencoder.

    It learns nothing and is exactly invertible. C = 3 x 4 x 8 x 8 = 768, ordered colour, temporal, vertical,
    horizontal frequency. The first frame is repeated to fill its own group of four and taken back as the
    group's mean, which is the orthogonal projection. As Wan does, latents are divided per channel by a
    standard deviation; here it is 1 / (1 + f)^decay of the coefficient's radial frequency f (natural images
    fall off as a power of it), times a constant.

    Args:
        decay: exponent of the standard deviation's fall over frequency; 0 makes the squared error of latents
            proportional to the squared error of pixels.
        scale: standard deviation of the lowest frequency; 0.8 gives face video about unit variance.
    """

    # In half precision the transform would not be invertible.
    _keep_in_fp32_modules: ClassVar = ["temporal_basis", "spatial_basis", "latents_std"]

    @register_to_config
    def __init__(self, *, decay: float = 0.5, scale: float = 0.8) -> None:
        super().__init__()
        # Persistent, so that a saved folder has the safetensors file that diffusers looks for.
        self.register_buffer("temporal_basis", _dct_matrix(TEMPORAL))
        self.register_buffer("spatial_basis", _dct_matrix(SPATIAL))
        time = torch.arange(TEMPORAL).view(1, -1, 1, 1) * (SPATIAL / TEMPORAL)
        vertical = torch.arange(SPATIAL).view(1, 1, -1, 1)
        horizontal = torch.arange(SPATIAL).view(1, 1, 1, -1)
        frequency = (time**2 + vertical**2 + horizontal**2).sqrt().expand(3, -1, -1, -1)
        std = scale / (1 + frequency.reshape(1, -1, 1, 1, 1)) ** decay
        self.register_buffer("latents_std", std)

    @property
    def latent_channels(self) -> int:
        """768."""
        return 3 * TEMPORAL * SPATIAL**2

    @property
    def fingerprint(self) -> str:
        """Name of the transform with its normalisation."""
        return fingerprint("dct", self.config)

    @apply_forward_hook
    def encode_video(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, 1 + T, H, W) in [-1, 1] to latents (B, 768, 1 + T/4, H/8, W/8)."""
        check_frames(frames)
        first = frames[:, :, :1].expand(-1, -1, TEMPORAL, -1, -1)
        x = torch.cat([first, frames[:, :, 1:]], dim=2)
        batch, _, length, height, width = x.shape
        x = x.reshape(
            batch, 3, length // TEMPORAL, TEMPORAL, height // SPATIAL, SPATIAL, width // SPATIAL, SPATIAL
        )
        x = torch.einsum(
            "bctphywx,ap,ey,gx->bcaegthw", x, self.temporal_basis, self.spatial_basis, self.spatial_basis
        )
        latents: Tensor = x.reshape(batch, self.latent_channels, *x.shape[5:]) / self.latents_std
        return latents

    @apply_forward_hook
    def decode_video(self, latents: Tensor) -> Tensor:
        """Latents (B, 768, 1 + T/4, H/8, W/8) to frames (B, 3, 1 + T, H, W)."""
        batch, _, groups, rows, columns = latents.shape
        x = (latents * self.latents_std).reshape(batch, 3, TEMPORAL, SPATIAL, SPATIAL, groups, rows, columns)
        x = torch.einsum(
            "bcaegthw,ap,ey,gx->bctphywx", x, self.temporal_basis, self.spatial_basis, self.spatial_basis
        )
        x = x.reshape(batch, 3, groups * TEMPORAL, rows * SPATIAL, columns * SPATIAL)
        return torch.cat([x[:, :, :TEMPORAL].mean(dim=2, keepdim=True), x[:, :, TEMPORAL:]], dim=2)


class WanAutoencoder(AutoencoderKLWan):
    """Wan 2.1's causal variational autoencoder, C = 16; encodes to the mode of its distribution.

    Diffusers' own, with its tiling (`enable_tiling`) and its causal cache, four frames at a time.
    """

    def to_channels_last(self) -> WanAutoencoder:
        """Store the convolutions' weights channels last, which is faster: same values, same shapes."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                module.weight.data = module.weight.data.to(memory_format=torch.channels_last_3d)
            elif isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.to(memory_format=torch.channels_last)
        return self

    @property
    def latent_channels(self) -> int:
        """16 for Wan 2.1."""
        return int(self.config.z_dim)

    @property
    def fingerprint(self) -> str:
        """Name of the autoencoder with its settings."""
        return fingerprint("wan", self.config)

    def encode_video(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, 1 + T, H, W) in [-1, 1] to latents (B, 16, 1 + T/4, H/8, W/8)."""
        check_frames(frames)
        mean, std = self._statistics(frames)
        latents: Tensor = (self.encode(frames).latent_dist.mode() - mean) / std
        return latents

    def decode_video(self, latents: Tensor) -> Tensor:
        """Latents (B, 16, 1 + T/4, H/8, W/8) to frames (B, 3, 1 + T, H, W)."""
        mean, std = self._statistics(latents)
        frames: Tensor = self.decode(latents * std + mean, return_dict=False)[0]
        return frames

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, 1, 1, 1)
        mean = torch.tensor(self.config.latents_mean, device=like.device, dtype=like.dtype).view(shape)
        std = torch.tensor(self.config.latents_std, device=like.device, dtype=like.dtype).view(shape)
        return mean, std


def _dct_matrix(size: int) -> Tensor:
    """The orthonormal DCT-II as a (size, size) matrix: rows are frequencies."""
    frequency = torch.arange(size, dtype=torch.float64).view(-1, 1)
    position = torch.arange(size, dtype=torch.float64).view(1, -1)
    matrix = torch.cos(math.pi * (position + 0.5) * frequency / size) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()
