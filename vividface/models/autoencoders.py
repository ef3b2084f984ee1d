"""Autoencoders: Wan 2.1's, and an exactly invertible DCT."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import ClassVar

import torch
from diffusers import AutoencoderKLWan
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from vividface.models.base import SPATIAL, TEMPORAL, check_frames, fingerprint
from vividface.models.gradient_checkpointing import checkpointed_blocks
from vividface.models.products import multiply_by_onednn, onednn_is_faster

# The free part of the lapped transform over a boundary, orthogonal: maximises the coding gain of a signal of
# correlation 0.95 (9.18 dB; the DCT's is 8.83), minus 30 times the energy of jumps at the functions' ends.
_OVERLAP = (
    (0.84162223, 0.53383400, 0.07663259, -0.02864853),
    (-0.52841420, 0.78531202, 0.32107572, -0.03120635),
    (0.11155632, -0.30617762, 0.94116833, 0.08951329),
    (-0.00237609, 0.06753926, -0.07238790, 0.99508432),
)


class DCTAutoencoder(ModelMixin, ConfigMixin):
    """A causal, orthonormal 3D discrete cosine transform over blocks of 4 x 8 x 8: the nano autoencoder.

    It learns nothing and is exactly invertible. `lapped` lets the functions of neighbouring blocks overlap by
    half (a lapped orthogonal transform, Malvar and Staelin, 1989): what is changed in one block then fades
    into the next instead of ending at its edge. At the picture's border the functions end with it.

    C = 3 x 4 x 8 x 8 = 768, ordered colour, temporal, vertical,
    horizontal frequency. The first frame is repeated to fill its own group of four and taken back as the
    group's mean, which is the orthogonal projection. As Wan does, latents are divided per channel by a
    standard deviation; here it is 1 / (1 + f)^decay of the coefficient's radial frequency f (natural images
    fall off as a power of it), times a constant.

    Args:
        decay: exponent of the standard deviation's fall over frequency; 0 makes the squared error of latents
            proportional to the squared error of pixels.
        scale: standard deviation of the lowest frequency; 0.8 gives face video about unit variance.
        lapped: whether the spatial transform is lapped.
    """

    # In half precision the transform would not be invertible.
    _keep_in_fp32_modules: ClassVar = ["temporal_basis", "spatial_basis", "latents_std", "overlap_matrix"]

    @register_to_config
    def __init__(self, *, decay: float = 0.5, scale: float = 0.8, lapped: bool = False) -> None:
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
        if lapped:
            self.register_buffer("overlap_matrix", _overlap_matrix())

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
        x = self._overlap(torch.cat([first, frames[:, :, 1:]], dim=2), inverse=False)
        batch, _, length, height, width = x.shape
        groups, rows, columns = length // TEMPORAL, height // SPATIAL, width // SPATIAL
        x = x.reshape(batch, 3, groups, TEMPORAL, rows, SPATIAL, columns, SPATIAL)
        x = x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, 3, -1, groups * rows * columns)
        x = _transformed(self._basis(), x)
        latents: Tensor = x.reshape(batch, self.latent_channels, groups, rows, columns) / self.latents_std
        return latents

    @apply_forward_hook
    def decode_video(self, latents: Tensor, *, checkpointed: bool = False) -> Tensor:
        """Latents (B, 768, 1 + T/4, H/8, W/8) to frames (B, 3, 1 + T, H, W).

        It is linear, so that gradients need nothing of it: `checkpointed` changes nothing.
        """
        batch, _, groups, rows, columns = latents.shape
        x = (latents * self.latents_std).reshape(batch, 3, -1, groups * rows * columns)
        x = _transformed(self._basis().T, x)
        x = x.reshape(batch, 3, TEMPORAL, SPATIAL, SPATIAL, groups, rows, columns)
        x = x.permute(0, 1, 5, 2, 6, 3, 7, 4)
        x = x.reshape(batch, 3, groups * TEMPORAL, rows * SPATIAL, columns * SPATIAL)
        x = self._overlap(x, inverse=True)
        return torch.cat([x[:, :, :TEMPORAL].mean(dim=2, keepdim=True), x[:, :, TEMPORAL:]], dim=2)

    def _basis(self) -> Tensor:
        """The transform of a block, (256, 256): one product is several times as fast as three."""
        spatial = torch.kron(self.spatial_basis, self.spatial_basis)
        return torch.kron(self.temporal_basis, spatial)

    def _overlap(self, x: Tensor, *, inverse: bool) -> Tensor:
        """Rotate the pixels on both sides of every boundary of blocks into each other, along both axes."""
        if not self.config.lapped:
            return x
        matrix = self.overlap_matrix.T if inverse else self.overlap_matrix
        half = SPATIAL // 2
        for axis in (-1, -2):
            lines = x.movedim(axis, -1)
            inner = lines[..., half:-half]
            inner = inner.reshape(*inner.shape[:-1], -1, SPATIAL) @ matrix.T
            lines = torch.cat([lines[..., :half], inner.flatten(-2), lines[..., -half:]], dim=-1)
            x = lines.movedim(-1, axis)
        return x


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

    @cached_property
    def fingerprint(self) -> str:
        """Name of the autoencoder with its settings and the weights that it has when it is first asked."""
        return fingerprint("wan", self.config, self)

    def encode_video(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, 1 + T, H, W) in [-1, 1] to latents (B, 16, 1 + T/4, H/8, W/8)."""
        check_frames(frames)
        mean, std = self._statistics(frames)
        with self._own_cache():
            latents: Tensor = (self.encode(frames).latent_dist.mode() - mean) / std
        return latents

    def decode_video(self, latents: Tensor, *, checkpointed: bool = False) -> Tensor:
        """Latents (B, 16, 1 + T/4, H/8, W/8) to frames (B, 3, 1 + T, H, W).

        `checkpointed` keeps what enters each block of the decoder, and computes the rest again.
        """
        mean, std = self._statistics(latents)
        blocks = checkpointed_blocks(self.decoder) if checkpointed else nullcontext()
        with self._own_cache(), blocks:
            frames: Tensor = self.decode(latents * std + mean, return_dict=False)[0]
        return frames

    @contextmanager
    def _own_cache(self) -> Iterator[None]:
        """The causal cache for one clip: whatever happens, nothing of it, nor its graph, is left."""
        try:
            yield
        finally:
            self.clear_cache()

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, 1, 1, 1)
        mean = torch.tensor(self.config.latents_mean, device=like.device, dtype=like.dtype).view(shape)
        std = torch.tensor(self.config.latents_std, device=like.device, dtype=like.dtype).view(shape)
        return mean, std


def _transformed(matrix: Tensor, blocks: Tensor) -> Tensor:
    """The product of a matrix (K, K) and blocks (B, 3, K, N)."""
    if not onednn_is_faster(blocks):
        return matrix @ blocks
    products = [multiply_by_onednn(matrix, block.T) for block in blocks.flatten(0, 1)]
    return torch.stack(products).view(blocks.shape)


def _dct_matrix(size: int) -> Tensor:
    """The orthonormal DCT-II as a (size, size) matrix: rows are frequencies."""
    frequency = torch.arange(size, dtype=torch.float64).view(-1, 1)
    position = torch.arange(size, dtype=torch.float64).view(1, -1)
    matrix = torch.cos(math.pi * (position + 0.5) * frequency / size) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def _overlap_matrix() -> Tensor:
    """The orthogonal (8, 8) matrix that a lapped transform applies across a boundary before its DCT.

    Sums of mirrored pixels pass, differences are rotated: so a constant picture stays constant.
    """
    half = SPATIAL // 2
    rotation = torch.linalg.qr(torch.tensor(_OVERLAP, dtype=torch.float64))
    # The orthogonal matrix nearest to the rounded numbers, with their signs.
    rotation = rotation.Q * rotation.R.diagonal().sign()
    ones, mirror = torch.eye(half, dtype=torch.float64), torch.eye(half, dtype=torch.float64).flip(0)
    fold = torch.cat([torch.cat([ones, mirror], 1), torch.cat([mirror, -ones], 1)]) / math.sqrt(2)
    matrix = torch.eye(SPATIAL, dtype=torch.float64)
    matrix[half:, half:] = rotation
    return (fold @ matrix @ fold).float()
