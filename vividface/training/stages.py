"""The two training stages (section 3.2): their batches, their losses, their validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from vividface.config import LatentStageConfig, PixelStageConfig
from vividface.data.latents import LatentClips
from vividface.data.pixels import PixelClips
from vividface.data.samples import Sample
from vividface.errors import InputError
from vividface.models.base import SPATIAL, Autoencoder
from vividface.training.base import Batch, Example, StageConfig
from vividface.training.losses import dists_loss, face_focused_loss, motion_loss
from vividface.training.sampling import Draw, Sampler

# px: distance of the corners of crops, which then hold whole tokens.
_CROP_STEP = 16


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
            (phase, _sampler(len(phase), config, p=p, seed=seed + number))
            for number, phase in enumerate(phases)
        ]
        self._crop = None if config.crop_size is None else config.crop_size // SPATIAL
        self._fine_from = round(config.iterations * (1 - config.fine_share))
        self._validation, self._autoencoder = validation, autoencoder
        self._by_mask, self._in_memory = config.normalise_by_mask, config.in_memory
        self._device = torch.device("cpu")

    def batch(self, step: int, *, part: int, num_parts: int) -> Batch:
        """See `Stage`."""
        clips, sampler = self._phases[-1 if step >= self._fine_from else 0]
        draw = sampler.draw(step, part=part, num_parts=num_parts)
        chosen = (draw.degradations * clips.num_draws).long().tolist()
        pairs = zip(draw.indices, chosen, strict=True)
        return _collate(
            [clips.read(index, draw=number) for index, number in pairs],
            draw,
            crop=self._crop,
            step=_CROP_STEP // SPATIAL,
        )

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
        if self._in_memory:
            for clips, _ in self._phases:
                clips.keep(device)


class PixelStage:
    """Stage two, Eq. 8: the face-focused loss on decoded frames, plus lambda times DISTS.

    `motion_weight` adds a term that is not the paper's (`vividface.training.losses.motion_loss`).

    Args:
        clips: clips to train on.
        validation: clips that are not trained on; None for no validation.
        autoencoder: frozen autoencoder; gradients flow through its decoder.
        dists: network of `vividface.models.perceptual.load_dists`; None where `dists_weight` is 0.
        config: hyper-parameters.
        p: probability of face-focused supervision.
        seed: seed of the order of the samples, their positions and b.
        num_draws: number of degradations of each clip.
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
        num_draws: int = 1,
    ) -> None:
        self._clips, self._validation = clips, validation
        self._autoencoder, self._dists, self._config = autoencoder, dists, config
        self._sampler = _sampler(len(clips), config, p=p, seed=seed)
        self._num_draws = num_draws
        self._device = torch.device("cpu")

    def batch(self, step: int, *, part: int, num_parts: int) -> Batch:
        """See `Stage`."""
        draw = self._sampler.draw(step, part=part, num_parts=num_parts)
        chosen = (draw.degradations * self._num_draws).long().tolist()
        items = zip(draw.indices, draw.positions.tolist(), chosen, strict=True)
        samples = [self._clips.read(index, position, draw=number) for index, position, number in items]
        return _collate(samples, draw, crop=self._config.crop_size, step=_CROP_STEP)

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """See `Stage`."""
        with torch.no_grad():
            latents = self._autoencoder.encode_video(batch.lq)
        restored = model(latents)
        checkpointed, by_mask = self._config.gradient_checkpointing, self._config.normalise_by_mask
        frames = self._autoencoder.decode_video(restored, checkpointed=checkpointed)
        squared = face_focused_loss(frames, batch.hq, batch.mask, batch.focus, by_mask=by_mask)
        terms = {"loss": squared, "squared_error": squared}
        if self._dists is not None:
            terms["dists"] = dists_loss(frames, batch.hq, self._dists, checkpointed=checkpointed)
            terms["loss"] = terms["loss"] + self._config.dists_weight * terms["dists"]
        if self._config.motion_weight:
            terms["motion"] = motion_loss(frames, batch.hq)
            terms["loss"] = terms["loss"] + self._config.motion_weight * terms["motion"]
        return terms

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
        if self._config.in_memory:
            self._clips.keep(device, num_draws=self._num_draws)


def _sampler(num_clips: int, config: StageConfig, *, p: float, seed: int) -> Sampler:
    return Sampler(
        num_clips,
        batch_size=config.batch_size,
        p=p,
        seed=seed,
        mild_share=config.mild_share,
        clean_share=config.clean_share,
    )


def _collate(samples: list[Sample], draw: Draw, *, crop: int | None, step: int) -> Batch:
    """The samples as a batch.

    Args:
        samples: samples as they are read.
        draw: what was drawn for them.
        crop: side of the crops, in places of the samples' grid; None takes the whole samples.
        step: distance of the crops' possible corners, in places of the samples' grid.
    """
    if crop is not None:
        samples = [
            _cropped(sample, corner.tolist(), crop=crop, step=step)
            for sample, corner in zip(samples, draw.corners, strict=True)
        ]
    lq, hq = (torch.stack(tensors) for tensors in zip(*((s.lq, s.hq) for s in samples), strict=True))
    severities = draw.severities.to(lq.device).view(-1, 1, 1, 1, 1)
    return Batch(
        lq=torch.where(severities == 1, lq, hq + severities * (lq - hq)),
        hq=hq,
        mask=torch.stack([sample.mask for sample in samples]),
        focus=draw.focus,
        clip_ids=[sample.clip_id for sample in samples],
    )


def _cropped(sample: Sample, corner: list[float], *, crop: int, step: int) -> Sample:
    """A square of a sample.

    Raises:
        InputError: the crop is larger than the sample.
    """
    sides = sample.lq.shape[-2:]
    if crop > min(sides):
        raise InputError(f"crop_size: is larger than the clip {sample.clip_id}; lower it, or leave it out")
    y, x = (int(u * ((side - crop) // step + 1)) * step for u, side in zip(corner, sides, strict=True))
    place = (..., slice(y, y + crop), slice(x, x + crop))
    return sample._replace(lq=sample.lq[place], hq=sample.hq[place], mask=sample.mask[place])
