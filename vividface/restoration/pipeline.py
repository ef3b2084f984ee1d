"""The one-step restoration of a clip (section 3.1)."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vividface.data.latents import frames_to_tensor, tensor_to_frames
from vividface.models.autoencoders import TEMPORAL, Autoencoder
from vividface.models.presets import load_checkpoint
from vividface.models.transformer import OneStepTransformer

# The transformer's patches are 2 latent positions of 8 px wide.
_MULTIPLE = 16


class OneStepRestorer:
    """Degraded frames in, restored frames out: encode, one step of the transformer, decode.

    Args:
        transformer: v_theta; None leaves the latents as they are, which gives the autoencoder's round trip.
        autoencoder: of the checkpoint.
        device: where both run.
    """

    def __init__(
        self, transformer: OneStepTransformer | None, autoencoder: Autoencoder, device: str = "cpu"
    ) -> None:
        self._device = torch.device(device)
        cast(nn.Module, autoencoder).to(self._device)
        self._transformer = None if transformer is None else transformer.to(self._device)
        self._autoencoder = autoencoder

    @classmethod
    def from_checkpoint(cls, folder: Path | str, device: str = "cpu") -> OneStepRestorer:
        """Load what a training stage wrote."""
        return cls(*load_checkpoint(folder), device)

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Restore a clip, all frames at once.

        Args:
            frames: (F, H, W, 3) uint8, RGB, any F, H and W: padded by repeating the last frame to 1 + a
                multiple of 4 and by reflection to multiples of 16, and cut back.

        Returns:
            frames of the same shape and type.
        """
        length, height, width = frames.shape[:3]
        video = _pad(frames_to_tensor(frames), length, height, width)
        latents = self._autoencoder.encode_video(video[None].to(self._device))
        if self._transformer is not None:
            latents = self._transformer.restore(latents)
        restored = self._autoencoder.decode_video(latents)[0, :, :length, :height, :width]
        return tensor_to_frames(restored)


def _pad(video: Tensor, length: int, height: int, width: int) -> Tensor:
    """Pad (3, F, H, W); sides smaller than the padding are replicated, since reflection cannot reach."""
    down, right = -height % _MULTIPLE, -width % _MULTIPLE
    mode = "reflect" if down < height and right < width else "replicate"
    video = F.pad(video.transpose(0, 1), (0, right, 0, down), mode=mode).transpose(0, 1)
    missing = -(length - 1) % TEMPORAL
    return torch.cat([video, video[:, -1:].expand(-1, missing, -1, -1)], dim=1)
