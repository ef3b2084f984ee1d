"""What the two stages have of their own: their batches and their losses (section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vividface.data.latents import LatentClips
from vividface.data.pixels import PixelClips
from vividface.models.autoencoders import Autoencoder
from vividface.training.losses import dists_loss, draw_focus, face_focused_loss


@dataclass(frozen=True)
class Batch:
    """The samples that a process computes at once, a part of one step's batch.

    Attributes:
        low: degraded latents (B, C, T', H', W') or frames (B, 3, F, H, W).
        high: the ground truth, of the same shape.
        mask: (B, T', H', W') or (B, F, H, W).
        focus: (B,) bool, b of Eq. 6.
        clip_ids: for messages about a batch that fails.
    """

    low: Tensor
    high: Tensor
    mask: Tensor
    focus: Tensor
    clip_ids: list[str]

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        low, high, mask, focus = (t.to(device) for t in (self.low, self.high, self.mask, self.focus))
        return Batch(low, high, mask, focus, self.clip_ids)


Example = tuple[Tensor, Tensor, Tensor]


class Stage(Protocol):
    """What the training loop needs of a stage."""

    def batch(self, step: int, slot: int, slots: int) -> Batch:
        """One of `slots` parts of a step's batch: a function of the seed and the arguments alone."""

    def loss(self, restorer: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss by name; `loss` is what is minimised."""

    def examples(self, restorer: nn.Module) -> Iterator[Example]:
        """Clips that are not trained on: input, output and target, frames (3, F, H, W) in [-1, 1]."""

    def to(self, device: torch.device) -> None:
        """Move the networks that the loss needs."""


class Sampler:
    """Which clip each sample of each step is: every epoch a new seeded permutation of the clips.

    The samples of a step are a function of the seed and its number alone, so that a resumed run, and a run on
    another number of processes or with other micro-batches, sees the same.

    Args:
        clips: how many there are.
        batch_size: samples of a step, of all processes together.
        p: probability of face-focused supervision.
        seed: of the order, the positions and b.
    """

    def __init__(self, clips: int, batch_size: int, p: float, seed: int) -> None:
        self._clips, self._batch_size, self._p, self._seed = clips, batch_size, p, seed

    def draw(self, step: int, slot: int, slots: int) -> tuple[list[int], Tensor, Tensor]:
        """One of `slots` parts of a step: indices of clips, positions within them (B,) in [0, 1), and b of
        Eq. 6, (B,) bool."""
        generator = torch.Generator().manual_seed(_mix(self._seed, step))
        positions = torch.rand(self._batch_size, generator=generator)
        focus = draw_focus(self._batch_size, self._p, generator)
        samples = range(slot, self._batch_size, slots)
        indices = [self._index(step * self._batch_size + sample) for sample in samples]
        return indices, positions[slot::slots], focus[slot::slots]

    def _index(self, position: int) -> int:
        epoch, offset = divmod(position, self._clips)
        generator = torch.Generator().manual_seed(_mix(self._seed, -1 - epoch))
        return int(torch.randperm(self._clips, generator=generator)[offset])


class LatentStage:
    """Stage one, Eq. 7: the face-focused loss on precomputed latents.

    Args:
        coarse: all clips.
        fine: the selected clips, or None for a run without them (Table 6).
        fine_from: first step on the selected clips.
        validation: clips that are not trained on, or None.
        autoencoder: of the latents; decodes the validation's.
        batch_size: samples of a step, of all processes together.
        p: probability of face-focused supervision.
        seed: of the order of the samples and of b.
        by_mask: see `face_focused_loss`.
    """

    def __init__(
        self,
        coarse: LatentClips,
        fine: LatentClips | None,
        fine_from: int,
        validation: LatentClips | None,
        autoencoder: Autoencoder,
        batch_size: int,
        p: float,
        seed: int,
        by_mask: bool = False,
    ) -> None:
        self._phases = [(coarse, Sampler(len(coarse), batch_size, p, seed))]
        if fine is not None:
            self._phases.append((fine, Sampler(len(fine), batch_size, p, seed + 1)))
        self._fine_from, self._validation, self._autoencoder = fine_from, validation, autoencoder
        self._by_mask, self._device = by_mask, torch.device("cpu")

    def batch(self, step: int, slot: int, slots: int) -> Batch:
        """See `Stage`."""
        clips, sampler = self._phases[-1 if step >= self._fine_from else 0]
        indices, _, focus = sampler.draw(step, slot, slots)
        return _collate([clips[index] for index in indices], focus)

    def loss(self, restorer: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """See `Stage`."""
        restored = restorer(batch.low)
        return {"loss": face_focused_loss(restored, batch.high, batch.mask, batch.focus, self._by_mask)}

    def examples(self, restorer: nn.Module) -> Iterator[Example]:
        """See `Stage`; the target is the autoencoder's round trip of the truth."""
        for index in range(len(self._validation or ())):
            clip = cast(LatentClips, self._validation)[index]
            low, high = (cast(Tensor, clip[name])[None].to(self._device) for name in ("low", "high"))
            decoded = (self._autoencoder.decode_video(latents)[0] for latents in (low, restorer(low), high))
            yield cast(Example, tuple(decoded))

    def to(self, device: torch.device) -> None:
        """See `Stage`."""
        self._device = device
        cast(nn.Module, self._autoencoder).to(device)


class PixelStage:
    """Stage two, Eq. 8: the face-focused loss on decoded frames, plus lambda times DISTS.

    Args:
        clips: windows of frames.
        validation: clips that are not trained on, or None.
        autoencoder: frozen; gradients flow through its decoder.
        dists: the network of `vividface.models.perceptual.load_dists`, or None when its weight is 0.
        dists_weight: lambda of Eq. 8.
        batch_size: samples of a step, of all processes together.
        p: probability of face-focused supervision.
        seed: of the order of the samples, their windows and b.
        checkpointing: recompute the decoder's activations in the backward pass.
        by_mask: see `face_focused_loss`.
    """

    def __init__(
        self,
        clips: PixelClips,
        validation: PixelClips | None,
        autoencoder: Autoencoder,
        dists: nn.Module | None,
        dists_weight: float,
        batch_size: int,
        p: float,
        seed: int,
        checkpointing: bool,
        by_mask: bool = False,
    ) -> None:
        self._clips, self._validation = clips, validation
        self._autoencoder, self._checkpointing = autoencoder, checkpointing
        self._dists, self._dists_weight, self._by_mask = dists, dists_weight, by_mask
        self._sampler = Sampler(len(clips), batch_size, p, seed)
        self._device = torch.device("cpu")

    def batch(self, step: int, slot: int, slots: int) -> Batch:
        """See `Stage`."""
        indices, positions, focus = self._sampler.draw(step, slot, slots)
        pairs = zip(indices, positions.tolist(), strict=True)
        return _collate([self._clips.read(index, position) for index, position in pairs], focus)

    def loss(self, restorer: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """See `Stage`."""
        with torch.no_grad():
            low = self._autoencoder.encode_video(batch.low)
        restored = restorer(low)
        if self._checkpointing:
            frames = checkpoint(self._autoencoder.decode_video, restored, use_reentrant=False)
        else:
            frames = self._autoencoder.decode_video(restored)
        squared = face_focused_loss(frames, batch.high, batch.mask, batch.focus, self._by_mask)
        if self._dists is None:
            return {"loss": squared, "squared_error": squared}
        dists = dists_loss(frames, batch.high, self._dists)
        return {"loss": squared + self._dists_weight * dists, "squared_error": squared, "dists": dists}

    def examples(self, restorer: nn.Module) -> Iterator[Example]:
        """See `Stage`; of each clip the window in the middle."""
        for index in range(len(self._validation or ())):
            clip = cast(PixelClips, self._validation).read(index, 0.5)
            low, high = (cast(Tensor, clip[name])[None].to(self._device) for name in ("low", "high"))
            restored = self._autoencoder.decode_video(restorer(self._autoencoder.encode_video(low)))
            yield low[0], restored[0], high[0]

    def to(self, device: torch.device) -> None:
        """See `Stage`."""
        self._device = device
        for network in (self._autoencoder, self._dists):
            if network is not None:
                cast(nn.Module, network).to(device)


def _collate(samples: list[dict], focus: Tensor) -> Batch:
    low, high, mask = (torch.stack([sample[key] for sample in samples]) for key in ("low", "high", "mask"))
    return Batch(low, high, mask, focus, [sample["clip_id"] for sample in samples])


def _mix(seed: int, number: int) -> int:
    """One 63-bit seed from two numbers (the finaliser of splitmix64), so that neighbours are unrelated."""
    value = (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (value ^ (value >> 31)) >> 1
