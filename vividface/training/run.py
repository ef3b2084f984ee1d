"""Running a stage, from its files to a checkpoint, in one of its processes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from vividface.data.clips import kept_clips, locate_clips
from vividface.data.latents import LatentClips
from vividface.data.pixels import PixelClip, PixelClips
from vividface.files import digest, sha256
from vividface.models.base import SPATIAL, TEMPORAL
from vividface.models.checkpoints import (
    build_autoencoder,
    build_transformer,
    load_checkpoint,
    save_checkpoint,
)
from vividface.models.perceptual import load_dists
from vividface.training.job import LatentStageJob, PixelStageJob
from vividface.training.stages import LatentStage, PixelStage
from vividface.training.trainer import Trainer
from vividface.training.validation import hold_out


def train_latent_stage(job: LatentStageJob) -> None:
    """Stage one; the first process writes the checkpoint and the curves.

    Raises:
        InputError: a shard does not fit, no clip is left, or the loss is not finite or explodes.
        StoppedError: a signal came; the state is saved.
    """
    config, autoencoder = job.stage, build_autoencoder(job.model)
    latents = LatentClips(job.latents, autoencoder, num_frames=config.num_frames)
    held_out = hold_out(kept_clips(job.clips), config.num_validation_clips, seed=job.seed)
    trained_on = latents.subset(set(latents.clip_ids) - held_out.clip_ids)
    selected = None
    if job.selected is not None and config.fine_share > 0:
        selected = trained_on.subset(_clip_ids(job.selected))
    clips = trained_on.subset([c for c, name in trained_on.datasets.items() if name not in job.candidates])
    stage = LatentStage(
        clips,
        selected=selected,
        validation=latents.subset(held_out.measured) if held_out.measured else None,
        autoencoder=autoencoder,
        config=config,
        p=job.p,
        seed=job.seed,
    )
    settings = {
        "p": job.p,
        "model": job.model.results(),
        "clips": digest(clips.clip_ids),
        "selected clips": digest(selected.clip_ids) if selected else "",
        "validation clips": digest(sorted(held_out.measured)),
    }
    transformer = build_transformer(job.model, job.seed)
    trainer = Trainer(transformer, stage, config=config, paths=job.paths, seed=job.seed, settings=settings)
    trained = trainer.run()
    if trained is not None:
        _, length, height, _ = clips.shape
        trained.register_to_config(clip_frames=1 + TEMPORAL * (length - 1), clip_size=SPATIAL * height)
        save_checkpoint(job.output, trained, build_autoencoder(job.model))


def train_pixel_stage(job: PixelStageJob) -> None:
    """Stage two; see `train_latent_stage`."""
    config, (transformer, autoencoder) = job.stage, load_checkpoint(job.start)
    transformer.requires_grad_(requires_grad=True)
    all_clips = _pixel_clips(job)
    table = kept_clips(job.clips)
    held_out = hold_out(table, config.num_validation_clips, seed=job.seed)
    training_ids = set(all_clips) - held_out.clip_ids
    if job.selected is not None:
        training_ids &= _clip_ids(job.selected)
    else:
        training_ids -= set(table.loc[table["dataset"].isin(job.candidates), "clip_id"])

    def choose(clip_ids: set[str]) -> PixelClips:
        return PixelClips([all_clips[clip] for clip in clip_ids], num_frames=config.num_frames)

    clips = choose(training_ids)
    stage = PixelStage(
        clips,
        validation=choose(held_out.measured) if held_out.measured else None,
        autoencoder=autoencoder,
        dists=load_dists() if config.dists_weight else None,
        config=config,
        p=job.p,
        seed=job.seed,
        num_draws=job.num_draws,
    )
    settings = {
        "p": job.p,
        "start": [sha256(path) for path in sorted((job.start / "transformer").glob("*.safetensors"))],
        "clips": digest(clips.clip_ids),
        "validation clips": digest(sorted(held_out.measured)),
    }
    trainer = Trainer(transformer, stage, config=config, paths=job.paths, seed=job.seed, settings=settings)
    trained = trainer.run()
    if trained is not None:
        save_checkpoint(job.output, trained, load_checkpoint(job.start)[1])


def _pixel_clips(job: PixelStageJob) -> dict[str, PixelClip]:
    """The clips of a job by their ids."""
    folders = {kind: [str(path) for path in getattr(job, kind)] for kind in ("hq", "lq", "masks")}
    return {
        row["clip_id"]: PixelClip(
            clip_id=row["clip_id"],
            hq=Path(row["hq"]),
            lq=Path(row["lq"]),
            mask=Path(row["masks"]),
            num_frames=int(row["frames"]),
        )
        for row in locate_clips(job.clips, **folders).to_dict("records")
    }


def _clip_ids(table: Path) -> set[str]:
    return set(pd.read_parquet(table)["clip_id"])
