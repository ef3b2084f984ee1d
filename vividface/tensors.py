"""Frames as tensors of the networks, and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def frames_to_tensor(frames: np.ndarray | Tensor) -> Tensor:
    """Frames (F, H, W, 3) uint8 or uint16 to (3, F, H, W) float32 in [-1, 1], on their device."""
    tensor = torch.as_tensor(frames)
    half = torch.iinfo(tensor.dtype).max / 2
    return tensor.permute(3, 0, 1, 2).float() / half - 1


def tensor_to_frames(tensor: Tensor, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """The inverse of `frames_to_tensor`, clamped and rounded.

    Args:
        tensor: frames (3, F, H, W) in [-1, 1].
        dtype: type of the result, uint8 or uint16.

    Returns:
        frames (F, H, W, 3) on the CPU.
    """
    half = np.iinfo(dtype).max / 2
    frames = ((tensor.clamp(-1, 1) + 1) * half).round().permute(1, 2, 3, 0)
    # As whole numbers they are a quarter of the bytes that leave the GPU.
    return frames.to(getattr(torch, np.dtype(dtype).name)).cpu().numpy()
