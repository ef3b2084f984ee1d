"""Colour correction: the restored frames keep the colours of what they were restored from."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

Correction = Literal["none", "adain", "wavelet"]

# Levels of the wavelet decomposition; the coarsest blur reaches over 2^5 pixels.
_LEVELS = 5
_KERNEL = np.array([0.25, 0.5, 0.25], np.float32)
# Mean difference of a pixel's channels, of 255, below which frames are grey; coloured from twice as much on.
_NEUTRAL = 2.0
# BT.709's weights of red, green and blue.
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def correct_colours(restored: np.ndarray, lq: np.ndarray, *, kind: Correction) -> np.ndarray:
    """Give restored frames the colours of the degraded ones.

    Args:
        restored: restored frames (F, H, W, 3), uint8 or uint16.
        lq: degraded frames of the same shape and type.
        kind: name of the correction. `adain`: each channel gets the mean and the standard deviation that it
            had (adaptive instance normalisation, Huang and Belongie, ICCV 2017); `wavelet`: the coarse part
            of an a-trous wavelet decomposition is taken from the degraded frame, the details from the
            restored one (StableSR, Wang et al., IJCV 2024); `none`.

    Returns:
        frames of the same shape and type; exactly `restored` where both are the same.
    """
    if kind == "none":
        return restored
    change = _adain if kind == "adain" else _wavelet
    peak = np.iinfo(restored.dtype).max
    corrected = np.empty_like(restored)
    for index, (new, old) in enumerate(zip(restored, lq, strict=True)):
        values = change(new.astype(np.float32), old.astype(np.float32))
        corrected[index] = np.rint(values.clip(0, peak)).astype(restored.dtype)
    return corrected


def keep_neutral(restored: np.ndarray, lq: np.ndarray) -> np.ndarray:
    """Take the tint from what was restored of a grey film, in which every colour is neutral.

    Args:
        restored: restored frames (F, H, W, 3), uint8 or uint16.
        lq: degraded frames of the same shape and type.

    Returns:
        frames of the same shape and type; those of a coloured film as they are.
    """
    peak = np.iinfo(lq.dtype).max
    # Several times as fast as the maximum along the last axis.
    red, green, blue = np.moveaxis(lq, -1, 0)
    highest, lowest = (function(function(red, green), blue) for function in (np.maximum, np.minimum))
    spread = float((highest - lowest).mean()) * 255 / peak
    tint = min(max(spread / _NEUTRAL - 1, 0.0), 1.0)
    if tint == 1:
        return restored
    change = restored.astype(np.float32) - lq
    grey = change @ _LUMA
    change = grey[..., None] + tint * (change - grey[..., None])
    return np.asarray(np.rint((lq + change).clip(0, peak)).astype(lq.dtype))


def _adain(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    axes = (0, 1)
    spread = old.std(axes) / np.maximum(new.std(axes), 1e-6)
    corrected: np.ndarray = (new - new.mean(axes)) * spread + old.mean(axes)
    return corrected


def _wavelet(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    # The blur is linear, so that the exchange of the coarse parts is the blurred difference.
    corrected: np.ndarray = new + _coarse(old - new)
    return corrected


def _coarse(frame: np.ndarray) -> np.ndarray:
    for level in range(_LEVELS):
        kernel = np.zeros(2 * 2**level + 1, np.float32)
        kernel[:: 2**level] = _KERNEL
        frame = np.asarray(cv2.sepFilter2D(frame, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE))
    return frame
