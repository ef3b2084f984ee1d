"""A result beside its reference: the same size, the same frames at the same places."""

from __future__ import annotations

import cv2
import numpy as np

from vividface.errors import InputError
from vividface.evaluation.footage import Footage

# Offsets that are tried, either way.
_MAX_OFFSET = 8
_SIDE = 64
# The share of the error at the stated offset below which another offset is the right one: frames of a clip
# that moves differ by far more than a restoration differs from its truth at this size.
_CLEARLY = 0.75
# Difference, of 255^2, that two neighbouring frames of a still clip may have.
_STILL = 0.5


def require_fitting(
    frames: np.ndarray, reference: np.ndarray, *, paths: tuple[Footage, Footage], same_size: bool = True
) -> None:
    """Refuse a result of another size or length than what it is compared with.

    Args:
        frames: result (F, H, W, 3) uint8, RGB.
        reference: true or degraded frames (G, H, W, 3) uint8, RGB.
        paths: where the two were read.
        same_size: whether they have to be of one size.

    Raises:
        InputError: they do not fit.
    """
    result, true = (footage.path for footage in paths)
    if same_size and frames.shape[1:] != reference.shape[1:]:
        sizes = ["x".join(map(str, array.shape[2:0:-1])) for array in (frames, reference)]
        raise InputError(
            f"{result}: is {sizes[0]} px, but {true}, which it is compared with, is {sizes[1]}; resize the "
            "results as the authors of the method do, and say so"
        )
    if len(frames) != len(reference):
        raise InputError(
            f"{result}: has {len(frames)} frames, but {true}, which it is compared with, has "
            f"{len(reference)}; add what is missing, or restore it again"
        )


def aligned(
    name: str,
    frames: np.ndarray,
    reference: np.ndarray,
    *,
    paths: tuple[Footage, Footage],
    offset: int | None = None,
    same_size: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """A result and what it is compared with, frame by frame.

    Args:
        name: name of the clip, for messages.
        frames: result (F, H, W, 3) uint8, RGB.
        reference: true or degraded frames (G, H, W, 3) uint8, RGB.
        paths: where the two were read.
        offset: number of frames that the result is late, of which those are compared that both have; None
            takes every frame, so that both have to be of one length.
        same_size: whether they have to be of one size.

    Returns:
        frames of the same number.

    Raises:
        InputError: they differ in size or, without an offset, in length, or another offset fits clearly
            better.
    """
    fitting = fitting_offset(frames, reference, offset or 0)
    if fitting != (offset or 0):
        late = f"{abs(fitting)} frame{'s' if abs(fitting) > 1 else ''} {'late' if fitting > 0 else 'early'}"
        raise InputError(
            f"{paths[0].path}: fits {paths[1].path} best {late}; compare the frames that both have with "
            f"--align {name}={fitting}"
        )
    shown = overlap(frames, reference, offset or 0)
    pair = shown if offset is not None else (frames, reference)
    require_fitting(*pair, paths=paths, same_size=same_size)
    return shown


def fitting_offset(frames: np.ndarray, reference: np.ndarray, stated: int = 0) -> int:
    """How many frames late a result is, against its reference.

    Both are shrunk to 64 px of grey and compared at offsets of up to eight frames.

    Args:
        frames: result (F, H, W, 3) uint8, RGB.
        reference: true frames (G, H, W, 3) uint8, RGB.
        stated: offset that is taken where none fits clearly better, as in a clip that hardly moves.

    Returns:
        the offset n at which frame i + n of the result shows frame i of the reference; negative where the
        result is early.
    """
    small, true = _small(frames), _small(reference)
    errors = {}
    for offset in range(-_MAX_OFFSET, _MAX_OFFSET + 1):
        a, b = overlap(small, true, offset)
        if len(a) > min(len(small), len(true)) // 2:
            errors[offset] = _residual(a, b)
    best = min(errors, key=lambda offset: (errors[offset], abs(offset)), default=stated)
    current = errors.get(stated, np.inf)
    clear = errors and errors[best] < _CLEARLY * current and current - errors[best] > _STILL
    return best if clear else stated


def overlap(frames: np.ndarray, reference: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """The frames that a result and its reference both have.

    Args:
        frames: frames of the result (F, ...).
        reference: true frames (G, ...).
        offset: number of frames that the result is late; negative where it is early.
    """
    frames, reference = frames[max(offset, 0) :], reference[max(-offset, 0) :]
    count = min(len(frames), len(reference))
    return frames[:count], reference[:count]


def _residual(frames: np.ndarray, reference: np.ndarray) -> float:
    """What of the reference's variance the frames do not explain, with any brightness and contrast."""
    a, b = (array - array.mean(axis=(1, 2), keepdims=True) for array in (frames, reference))
    covariance, variance = (a * b).mean(axis=(1, 2)), (a * a).mean(axis=(1, 2))
    explained = covariance**2 / np.maximum(variance, 1e-6)
    return float(((b * b).mean(axis=(1, 2)) - explained).mean())


def _small(frames: np.ndarray) -> np.ndarray:
    """(F, 64, 64) float32, grey."""
    size = (_SIDE, _SIDE)
    return np.stack(
        [
            cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
            for frame in frames
        ]
    ).astype(np.float32)
