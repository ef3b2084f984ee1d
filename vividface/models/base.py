"""The interface of an autoencoder; what implements it needs diffusers, what uses it does not.

Autoencoders map frames (B, 3, 1 + T, H, W) in [-1, 1], T divisible by 4 and H, W by 8, to normalised latents
(B, C, 1 + T/4, H/8, W/8) and back. The first frame fills a latent frame alone, each later one holds four
frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from vividface.files import digest

# Pixels per latent position along a side, and frames per latent frame.
SPATIAL = 8
TEMPORAL = 4

_Module = TypeVar("_Module", bound=nn.Module)


@runtime_checkable
class Autoencoder(Protocol):
    """The interface of an autoencoder for training and restoration."""

    @property
    def latent_channels(self) -> int:
        """C, the number of channels of the latents."""

    @property
    def fingerprint(self) -> str:
        """Name of the autoencoder with its settings and weights, by which other latents are refused."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of its weights, and of the frames and latents that it takes."""

    def encode_video(self, frames: Tensor) -> Tensor:
        """Encode a clip.

        Args:
            frames: (B, 3, 1 + T, H, W) in [-1, 1], T divisible by 4, H and W by 8.

        Returns:
            normalised latents (B, C, 1 + T/4, H/8, W/8).

        Raises:
            ValueError: the shape does not fit.
        """

    def decode_video(self, latents: Tensor, *, checkpointed: bool = False) -> Tensor:
        """Decode a clip; gradients flow.

        Args:
            latents: normalised latents (B, C, 1 + T/4, H/8, W/8).
            checkpointed: whether to compute most of what gradients need again instead of keeping it: the same
                frames and gradients, in less memory.

        Returns:
            frames (B, 3, 1 + T, H, W), which may leave [-1, 1].
        """


def freeze(module: _Module) -> _Module:
    """Evaluate a module, its parameters without gradients; gradients still flow through it."""
    return module.eval().requires_grad_(requires_grad=False)


def check_frames(frames: Tensor) -> None:
    """Raise `ValueError` for frames that no autoencoder takes."""
    if frames.ndim != 5 or frames.shape[1] != 3:
        raise ValueError(f"frames must be (B, 3, 1 + T, H, W), got {tuple(frames.shape)}")
    _, _, length, height, width = frames.shape
    if (length - 1) % TEMPORAL or height % SPATIAL or width % SPATIAL:
        raise ValueError(
            f"{length} frames of {height}x{width} do not fit: "
            "1 + a multiple of 4 frames, sides divisible by 8"
        )


def fingerprint(name: str, config: Mapping[str, Any], weights: nn.Module | None = None) -> str:
    """A short name of an autoencoder with its settings and its weights.

    Args:
        name: name of the kind of autoencoder.
        config: settings; keys that begin with `_` do not count.
        weights: module whose weights count, as they are in bfloat16, so that the type in which they were
            loaded does not; None for an autoencoder that learns nothing.
    """
    settings = {key: value for key, value in config.items() if not key.startswith("_")}
    parts = [name, digest(settings)[:12]]
    if weights is not None:
        parts.append(_weights_digest(weights)[:12])
    return "-".join(parts)


def _weights_digest(module: nn.Module) -> str:
    """The SHA-256 of a module's weights and their names, whatever their device, type and layout."""
    content = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        content.update(f"{name} {tuple(tensor.shape)} ".encode())
        numbers = tensor.detach().to("cpu", torch.bfloat16).contiguous()
        content.update(numbers.flatten().view(torch.uint8).numpy())
    return content.hexdigest()
