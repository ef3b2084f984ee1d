"""The two training steps of the workflow: from files to a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from vividface.data.clips import kept_clips
from vividface.data.latents import LatentClips
from vividface.data.pixels import PixelClip, PixelClips
from vividface.files import sha256
from vividface.models.autoencoders import SPATIAL, TEMPORAL
from vividface.models.perceptual import load_dists
from vividface.models.presets import build_autoencoder, build_transformer, load_checkpoint, save_checkpoint
from vividface.training.jobs import Job, LatentJob, PixelJob
from vividface.training.loop import Files, train
from vividface.training.stages import LatentStage, PixelStage
from vividface.training.watch import hold_out


def train_latent_stage(job: LatentJob) -> None:
    """Stage one; the first process writes the checkpoint and the curves.

    Raises:
        InputError: a shard does not fit, or no clip is left.
        StoppedError: a signal came.
    """
    config, variant = job.stage, job.variant
    autoencoder = build_autoencoder(job.model)
    everything = LatentClips(job.latents, autoencoder, config.frames)
    held = hold_out(everything.clip_ids, job.watch.validation_clips, job.seed)
    chosen = set(everything.clip_ids) - held
    coarse = LatentClips(job.latents, autoencoder, config.frames, chosen)
    fine = None
    if variant.selected_set and config.fine_share > 0:
        fine = LatentClips(job.latents, autoencoder, config.frames, chosen & _ids(job.selected))
    stage = LatentStage(
        coarse,
        fine,
        round(config.iterations * (1 - config.fine_share)),
        LatentClips(job.latents, autoencoder, config.frames, held) if held else None,
        autoencoder,
        config.batch_size,
        variant.latent_p,
        job.seed,
        config.normalise_by_mask,
    )
    settings = {
        "p": variant.latent_p,
        "model": job.model.model_dump(mode="json"),
        "clips": _digest(coarse.clip_ids),
        "selected clips": _digest(fine.clip_ids) if fine else "",
    }
    transformer = train(
        build_transformer(job.model, job.seed),
        stage,
        config,
        _files(job),
        settings | _shared(job, held),
        job.watch,
    )
    if transformer is not None:
        _, length, height, _ = coarse.shape
        transformer.register_to_config(clip_frames=1 + TEMPORAL * (length - 1), clip_size=SPATIAL * height)
        save_checkpoint(job.output, transformer, build_autoencoder(job.model))


def train_pixel_stage(job: PixelJob) -> None:
    """Stage two; see `train_latent_stage`."""
    config, variant = job.stage, job.variant
    transformer, autoencoder = load_checkpoint(job.start)
    transformer.requires_grad_(True)
    clips = kept_clips(job.clips)
    held = hold_out(clips["clip_id"], job.watch.validation_clips, job.seed)
    chosen = set(clips["clip_id"]) - held
    if variant.selected_set:
        chosen &= _ids(job.selected)
    windows = _windows(job, clips, chosen)
    stage = PixelStage(
        windows,
        _windows(job, clips, held) if held else None,
        autoencoder,
        load_dists() if config.dists_weight else None,
        config.dists_weight,
        config.batch_size,
        variant.pixel_p,
        job.seed,
        config.gradient_checkpointing,
        config.normalise_by_mask,
    )
    start = sorted((job.start / "transformer").glob("*.safetensors"))
    settings = {
        "p": variant.pixel_p,
        "start": _digest(sha256(path) for path in start),
        "clips": _digest(windows.clip_ids),
    }
    trained = train(
        transformer,
        stage,
        config,
        _files(job),
        settings | _shared(job, held),
        job.watch,
    )
    if trained is not None:
        save_checkpoint(job.output, trained, load_checkpoint(job.start)[1])


def _files(job: Job) -> Files:
    # Beside the checkpoint, not in it: Snakemake removes a failed rule's outputs, and the state must survive.
    state = job.output.with_name(f"{job.output.name}.state")
    return Files(job.curve, job.validation, state, job.folder, job.folder / "stop")


def _shared(job: Job, held: set[str]) -> dict[str, Any]:
    return {"seed": job.seed, "validation clips": _digest(sorted(held))}


def _ids(table: Path) -> set[str]:
    return set(pd.read_parquet(table)["clip_id"])


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _windows(job: PixelJob, clips: pd.DataFrame, chosen: set[str]) -> PixelClips:
    rows = clips[clips["clip_id"].isin(chosen)].itertuples()
    return PixelClips([_locate(row, job.data) for row in rows], job.stage.frames)


def _locate(row: Any, directory: Path) -> PixelClip:
    base = Path(directory) / row.dataset
    hq, lq, mask = (base / kind / row.shard / f"{row.clip_id}.mkv" for kind in ("hq", "lq", "masks"))
    return PixelClip(row.clip_id, hq, lq, mask, int(row.frames))
