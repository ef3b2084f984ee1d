"""The two training steps of the workflow: from files to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from vividface.config import LatentStageConfig, ModelConfig, PixelStageConfig, VariantConfig
from vividface.data.latents import LatentClips
from vividface.data.pixels import PixelClip, PixelClips
from vividface.models.autoencoders import SPATIAL, TEMPORAL
from vividface.models.perceptual import load_dists
from vividface.models.presets import build_autoencoder, build_transformer, load_checkpoint, save_checkpoint
from vividface.training.loop import train
from vividface.training.stages import LatentStage, PixelStage


def train_latent_stage(
    model: ModelConfig,
    config: LatentStageConfig,
    variant: VariantConfig,
    shards: list[Path],
    selected: pd.DataFrame,
    seed: int,
    output: Path,
    log: Path,
) -> None:
    """Stage one: coarse on all clips, then fine on the selected ones (section 4.1).

    Args:
        model: what to start from.
        config: hyper-parameters.
        variant: p of Eq. 6, and whether the selected clips are used.
        shards: latents of all clips.
        selected: table of the selected clips, with `clip_id`.
        seed: of the initial weights, the order of the samples and b.
        output: the checkpoint's folder.
        log: the training curve, CSV.
    """
    autoencoder = build_autoencoder(model)
    coarse = LatentClips(shards, autoencoder.fingerprint)
    fine = None
    if variant.selected_set and config.fine_share > 0:
        fine = LatentClips(shards, autoencoder.fingerprint, set(selected["clip_id"]))
    fine_from = round(config.iterations * (1 - config.fine_share)) * config.gradient_accumulation
    stage = LatentStage(coarse, fine, fine_from, config.batch_size, variant.latent_p, seed)
    transformer = train(build_transformer(model, seed), stage, config, log, _state_of(output))
    _, length, height, _ = coarse.shape
    transformer.register_to_config(clip_frames=1 + TEMPORAL * (length - 1), clip_size=SPATIAL * height)
    save_checkpoint(output, transformer, autoencoder)


def train_pixel_stage(
    start: Path,
    config: PixelStageConfig,
    variant: VariantConfig,
    clips: pd.DataFrame,
    selected: pd.DataFrame,
    directory: Path,
    seed: int,
    output: Path,
    log: Path,
) -> None:
    """Stage two: fine-tuning in pixel space from the latent stage's checkpoint.

    Args:
        start: the latent stage's checkpoint.
        config: hyper-parameters.
        variant: p of Eq. 6, and whether only the selected clips are used.
        clips: all kept clips, with `clip_id`, `dataset`, `shard` and `frames`.
        selected: table of the selected clips.
        directory: the folder `data`, which holds the clips of every dataset.
        seed: of the order of the samples, their windows and b.
        output: the checkpoint's folder.
        log: the training curve, CSV.
    """
    transformer, autoencoder = load_checkpoint(start)
    transformer.requires_grad_(True)
    if variant.selected_set:
        clips = clips[clips["clip_id"].isin(selected["clip_id"])]
    windows = PixelClips([_locate(row, directory) for row in clips.itertuples()], config.frames)
    stage = PixelStage(
        windows,
        autoencoder,
        load_dists() if config.dists_weight else None,
        config.dists_weight,
        config.batch_size,
        variant.pixel_p,
        seed,
        config.gradient_checkpointing,
    )
    transformer = train(transformer, stage, config, log, _state_of(output))
    save_checkpoint(output, transformer, autoencoder)


def _locate(row: Any, directory: Path) -> PixelClip:
    base = Path(directory) / row.dataset
    hq, lq, mask = (base / kind / row.shard / f"{row.clip_id}.mkv" for kind in ("hq", "lq", "masks"))
    return PixelClip(row.clip_id, hq, lq, mask, int(row.frames))


def _state_of(output: Path) -> Path:
    """Beside the checkpoint, not in it: Snakemake removes a failed rule's outputs, and this must survive."""
    output = Path(output)
    return output.with_name(f"{output.name}.state.pt")
