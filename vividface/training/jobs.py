"""What a training is told: a file that every one of its processes reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from vividface.config import (
    LatentStageConfig,
    ModelConfig,
    PixelStageConfig,
    VariantConfig,
    WatchConfig,
)
from vividface.config.base import Section


class _Job(Section):
    """What both stages are told.

    Attributes:
        variant: p of Eq. 6, and whether the selected clips are used.
        nodes: of the machines that train.
        processes: on each node.
        watch: what can be seen.
        seed: of the initial weights, the order of the samples, their windows and b.
        selected: table of the selected clips, with `clip_id`.
        output: the checkpoint's folder.
        curve: CSV of the training curve, and `validation` that of the validation's measures.
        folder: for TensorBoard's files, sample grids, and what the processes tell each other.
    """

    variant: VariantConfig
    nodes: Annotated[int, Field(ge=1)] = 1
    processes: Annotated[int, Field(ge=1)] = 1
    watch: WatchConfig
    seed: int
    selected: Path
    output: Path
    curve: Path
    validation: Path
    folder: Path


class LatentJob(_Job):
    """Stage one: coarse on all clips, then fine on the selected ones (section 4.1).

    Attributes:
        model: what to start from.
        stage: hyper-parameters.
        latents: the shards of all clips.
    """

    kind: Literal["latent"] = "latent"
    model: ModelConfig
    stage: LatentStageConfig
    latents: list[Path]


class PixelJob(_Job):
    """Stage two: fine-tuning in pixel space from the latent stage's checkpoint.

    Attributes:
        start: the latent stage's checkpoint.
        stage: hyper-parameters.
        clips: tables of the clips of every training dataset.
        data: the folder that holds their videos.
    """

    kind: Literal["pixel"] = "pixel"
    start: Path
    stage: PixelStageConfig
    clips: list[Path]
    data: Path


Job = LatentJob | PixelJob
_ADAPTER: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])


def read_job(path: Path) -> Job:
    """Read what `write_job` wrote."""
    return _ADAPTER.validate_json(path.read_bytes())


def write_job(path: Path, job: Job) -> None:
    """Write a job as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(job.model_dump_json(indent=2) + "\n")
