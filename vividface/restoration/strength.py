"""How strongly a face is restored where restoring it turns it into another person's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vividface.faces.base import Face, FaceBackend
from vividface.video import eight_bits

# Frames of a window whose identities are compared: two of 17 add a seventh to the time of `nano`.
_LOOKS = 2
# Bisections of the strength, where it has to be lowered.
_STEPS = 4
# What a strength may lose, and regain, from one frame to the next: a change is never seen as a jump, and one
# that comes and goes does not flicker.
_FALL, _RISE = 1 / 12, 1 / 48


def identity_strength(
    backend: FaceBackend,
    crops: np.ndarray,
    restored: np.ndarray,
    faces: Sequence[Face],
    *,
    threshold: float,
) -> tuple[float, float]:
    """The strength up to which restored crops show the person of the crops.

    Crops and restored crops are blended in pixels, not in latents as for a fixed strength: a decoder that is
    not linear would have to be called again for each strength that is tried.

    Args:
        backend: backend that embeds the faces.
        crops: crops of one face (F, S, S, 3), uint8 or uint16.
        restored: restored crops of the same shape and type.
        faces: the face in each crop.
        threshold: cosine of the two identities below which the strength is lowered.

    Returns:
        the lowest cosine of the frames that were compared, at full strength, and the strength in [0, 1].
    """
    picked = np.unique(np.linspace(0, len(crops) - 1, 2 * _LOOKS + 1).round().astype(int)[1::2])
    some = [faces[index] for index in picked]
    before, after = (eight_bits(frames[picked]).astype(np.float32) for frames in (crops, restored))

    def embedded(frames: np.ndarray) -> np.ndarray:
        return backend.embed(list(np.rint(frames).astype(np.uint8)), some)

    identities = embedded(before)

    def cosine(strength: float) -> float:
        blended = embedded(before + np.float32(strength) * (after - before))
        return float((identities * blended).sum(axis=1).min())

    full = cosine(1)
    if full >= threshold:
        return full, 1.0
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if cosine(middle) >= threshold else (low, middle)
    return full, low


def steady(before: float | None, target: float, count: int) -> np.ndarray:
    """Strengths of successive frames on their way to a target.

    Args:
        before: strength in the frame before; None: the face was not in sight, so the target holds at once.
        target: strength to reach, in [0, 1].
        count: number of frames.

    Returns:
        (count,) float32, in [0, 1].
    """
    if before is None:
        return np.full(count, target, np.float32)
    steps = np.arange(1, count + 1)
    moved = before + np.clip(target - before, -_FALL * steps, _RISE * steps)
    return np.asarray(moved, np.float32)
