"""The two training stages (section 3.2): their batches, their losses, their validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vividface.config import LatentStageConfig, PixelStageConfig
from vividface.data.latents import LatentClips
from vividface.data.pixels import PixelClips
from vividface.data.samples import Sample
from vividface.models.base import Autoencoder
from vividface.training.base import Batch, Example
from vividface.training.losses import dists_loss, face_focused_loss
from vividface.training.sampling import Sampler


class LatentStage:
    """Stage one, Eq. 7: the face-focused loss on precomputed latents.

    Coarse on all clips, then, for the last `fine_share` of the steps, fine on the selected ones alone.

    Args:
        clips: all clips to train on.
        selected: clips of the selected set; None for a run without it (Table 6).
        validation: clips that are not trained on; None for no validation.
        autoencoder: autoencoder of the latents; decodes the validation's.
        config: hyper-parameters.
        p: probability of face-focused supervision.
        seed: seed of the order of the samples and of b.
    """

    def __init__(
        self,
        clips: LatentClips,
        *,
        selected: LatentClips | None,
        validation: LatentClips | None,
        autoencoder: Autoencoder,
        config: LatentStageConfig,
        p: float,
        seed: int,
    ) -> None:
        phases = [clips] if selected is None else [clips, selected]
        self._phases = [
            (phase, Sampler(len(phase), batch_size=config.batch_size, p=p, seed=seed + number))
            for number, phase in enumerate(phases)
        ]
        self._fine_from = round(config.iterations * (1 - config.fine_share))
        self._validation, self._autoencoder = validation, autoencoder
        self._by_mask, self._device = config.normalise_by_mask, torch.device("cpu")

    def batch(self, step: int, *, part: int, num_parts: int) -> Batch:
        """See `Stage`."""
        clips, sampler = self._phases[-1 if step >= self._fine_from else 0]
        draw = sampler.draw(step, part=part, num_parts=num_parts)
        return _collate([clips[index] for index in draw.indices], draw.focus)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """See `Stage`."""
        restored = model(batch.lq)
        return {"loss": face_focused_loss(restored, batch.hq, batch.mask, batch.focus, by_mask=self._by_mask)}

    def examples(self, model: nn.Module) -> Iterator[Example]:
        """See `Stage`; the ground truth is the autoencoder's round trip of it."""
        for clip in self._validation or ():
            lq, hq = (latents[None].to(self._device) for latents in (clip.lq, clip.hq))
            decoded = (self._autoencoder.decode_video(latents)[0] for latents in (lq, model(lq), hq))
            yield Example(*decoded)

    def to(self, device: torch.device) -> None:
        """See `Stage`."""
        self._device = device
        cast(nn.Module, self._autoencoder).to(device)


class PixelStage:
    """Stage two, Eq. 8: the face-focused loss on decoded frames, plus lambda times DISTS.

    Args:
        clips: clips to train on.
        validation: clips that are not trained on; None for no validation.
        autoencoder: frozen autoencoder; gradients flow through its decoder.
        dists: network of `vividface.models.perceptual.load_dists`; None where `dists_weight` is 0.
        config: hyper-parameters.
        p: probability of face-focused supervision.
        seed: seed of the order of the samples, their positions and b.
    """

    def __init__(
        self,
        clips: PixelClips,
        *,
        validation: PixelClips | None,
        autoencoder: Autoencoder,
        dists: nn.Module | None,
        config: PixelStageConfig,
        p: float,
        seed: int,
    ) -> None:
        self._clips, self._validation = clips, validation
        self._autoencoder, self._dists, self._config = autoencoder, dists, config
        self._sampler = Sampler(len(clips), batch_size=config.batch_size, p=p, seed=seed)
        self._device = torch.device("cpu")

    def batch(self, step: int, *, part: int, num_parts: int) -> Batch:
        """See `Stage`."""
        draw = self._sampler.draw(step, part=part, num_parts=num_parts)
        pairs = zip(draw.indices, draw.positions.tolist(), strict=True)
        return _collate([self._clips.read(index, position) for index, position in pairs], draw.focus)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """See `Stage`."""
        with torch.no_grad():
            latents = self._autoencoder.encode_video(batch.lq)
        restored = model(latents)
        if self._config.gradient_checkpointing:
            frames = checkpoint(self._autoencoder.decode_video, restored, use_reentrant=False)
        else:
            frames = self._autoencoder.decode_video(restored)
        by_mask = self._config.normalise_by_mask
        squared = face_focused_loss(frames, batch.hq, batch.mask, batch.focus, by_mask=by_mask)
        if self._dists is None:
            return {"loss": squared, "squared_error": squared}
        dists = dists_loss(frames, batch.hq, self._dists)
        loss = squared + self._config.dists_weight * dists
        return {"loss": loss, "squared_error": squared, "dists": dists}

    def examples(self, model: nn.Module) -> Iterator[Example]:
        """See `Stage`; the frames are those in the middle of each clip."""
        if self._validation is None:
            return
        for index in range(len(self._validation)):
            clip = self._validation.read(index, 0.5)
            lq, hq = (frames[None].to(self._device) for frames in (clip.lq, clip.hq))
            restored = self._autoencoder.decode_video(model(self._autoencoder.encode_video(lq)))
            yield Example(lq[0], restored[0], hq[0])

    def to(self, device: torch.device) -> None:
        """See `Stage`."""
        self._device = device
        cast(nn.Module, self._autoencoder).to(device)
        if self._dists is not None:
            self._dists.to(device)


def _collate(samples: list[Sample], focus: Tensor) -> Batch:
    return Batch(
        lq=torch.stack([sample.lq for sample in samples]),
        hq=torch.stack([sample.hq for sample in samples]),
        mask=torch.stack([sample.mask for sample in samples]),
        focus=focus,
        clip_ids=[sample.clip_id for sample in samples],
    )
