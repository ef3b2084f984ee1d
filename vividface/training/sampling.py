"""Which clip each sample of each training step is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vividface.training.losses import draw_focus


class Draw(NamedTuple):
    """The B samples of a part of a step.

    Attributes:
        indices: indices of the clips.
        positions: position of each sample within its clip, (B,) in [0, 1).
        focus: b of Eq. 6, (B,) bool.
        severities: share of the degradation that each sample keeps, (B,) in [0, 1]: 1 begins at the degraded
            clip, 0 at the true one.
        degradations: degradation of each sample among its clip's, (B,) in [0, 1).
        corners: upper left corner of each sample's crop among the possible ones, (B, 2) in [0, 1), y and x.
    """

    indices: list[int]
    positions: Tensor
    focus: Tensor
    severities: Tensor
    degradations: Tensor
    corners: Tensor


class Sampler:
    """Draws the samples of a step: every epoch is a new seeded permutation of the clips.

    The samples are a function of the seed and the step alone, so that a resumed run, and a run with another
    number of processes or other micro-batches, sees the same.

    Args:
        num_clips: number of clips.
        batch_size: samples of a step, of all processes together.
        p: probability of face-focused supervision.
        seed: seed of all that is drawn.
        mild_share: share of the samples that keep a random part of their degradation.
        clean_share: share of the samples that keep none of it.
    """

    def __init__(
        self,
        num_clips: int,
        *,
        batch_size: int,
        p: float,
        seed: int,
        mild_share: float = 0.0,
        clean_share: float = 0.0,
    ) -> None:
        self._num_clips, self._batch_size, self._p, self._seed = num_clips, batch_size, p, seed
        self._mild_share, self._clean_share = mild_share, clean_share

    def draw(self, step: int, *, part: int, num_parts: int) -> Draw:
        """The samples of one of `num_parts` equal parts of a step."""
        generator = torch.Generator().manual_seed(_mix(self._seed, step))
        positions = torch.rand(self._batch_size, generator=generator)
        focus = draw_focus(self._batch_size, self._p, generator)
        kind, kept, degradations = torch.rand(3, self._batch_size, generator=generator)
        corners = torch.rand(self._batch_size, 2, generator=generator)
        severities = torch.where(kind < self._clean_share + self._mild_share, kept, torch.ones(()))
        severities = torch.where(kind < self._clean_share, torch.zeros(()), severities)
        samples = range(part, self._batch_size, num_parts)
        indices = [self._index(step * self._batch_size + sample) for sample in samples]
        drawn = (positions, focus, severities, degradations, corners)
        return Draw(indices, *(values[part::num_parts] for values in drawn))

    def _index(self, position: int) -> int:
        epoch, offset = divmod(position, self._num_clips)
        generator = torch.Generator().manual_seed(_mix(self._seed, -1 - epoch))
        return int(torch.randperm(self._num_clips, generator=generator)[offset])


def _mix(seed: int, number: int) -> int:
    """One 63-bit seed from two numbers (the finaliser of splitmix64), so that neighbours are unrelated."""
    value = (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (value ^ (value >> 31)) >> 1
