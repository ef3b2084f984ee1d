"""The description of a training: a JSON file that suffices to run it, read by each of its processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from vividface.config import LatentStageConfig, ModelConfig, PixelStageConfig, Section
from vividface.files import write_text


@dataclass(frozen=True, kw_only=True)
class TrainingPaths:
    """Where a training writes.

    Attributes:
        curve: CSV of `step`, the means of the loss's terms since the last row, `learning_rate`, `seconds`;
            a row every `log_every` steps.
        validation: CSV of `step` and the validation's measures; a row every `validate_every` steps.
        states: folder of the states to resume from.
        monitor: folder of TensorBoard's files and of the sample grids.
        stop: file on whose appearance the training saves its state and stops, as it does upon a signal.
    """

    curve: Path
    validation: Path
    states: Path
    monitor: Path
    stop: Path


class _Job(BaseModel):
    """What the jobs of both stages hold.

    Attributes:
        p: probability of face-focused supervision, p of Eq. 6.
        clips: tables of the clips of the training datasets.
        selected: table of the selected set, with `clip_id`; None for a training without it.
        candidates: names of the training datasets of which only the selected clips are trained on.
        seed: seed of the initial weights, the order of the samples, their positions and b of Eq. 6.
        output: folder of the checkpoint.
        curve: CSV of the training curve.
        validation: CSV of the validation's measures.
        folder: folder of this description, TensorBoard's files, sample grids, and what the processes tell
            each other.
        log: file that the processes append to.
        device: `cpu`, or `cuda`, where each process takes a GPU.
        threads: threads of a node's CPU, for all its processes together.
        num_nodes: number of nodes.
        num_processes: number of processes per node.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    p: Annotated[float, Field(ge=0, le=1)]
    clips: list[Path]
    selected: Path | None
    candidates: list[str] = []
    seed: int
    output: Path
    curve: Path
    validation: Path
    folder: Path
    log: Path
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Annotated[int, Field(ge=1)] = 1
    num_nodes: Annotated[int, Field(ge=1)] = 1
    num_processes: Annotated[int, Field(ge=1)] = 1

    @property
    def file(self) -> Path:
        """The file of this description."""
        return self.folder / "job.json"

    @property
    def paths(self) -> TrainingPaths:
        """Where the training writes, besides the checkpoint."""
        return TrainingPaths(
            curve=self.curve,
            validation=self.validation,
            # Beside the checkpoint: a workflow removes a failed step's outputs, and the states must survive.
            states=self.output.with_name(f"{self.output.name}.state"),
            monitor=self.folder,
            stop=self.folder / "stop",
        )


def _values(section: Any) -> Any:
    """The values of a section: a rule's may lack keys that the rule does not declare, which become null."""
    return section.model_dump() if isinstance(section, Section) else section


class LatentStageJob(_Job):
    """Stage one: coarse on all clips, then fine on the selected ones (section 4.1).

    Attributes:
        model: model to start from.
        stage: hyper-parameters.
        latents: latents of all shards of the training datasets: `.../{dataset}/latents/{shard}.safetensors`.
    """

    kind: Literal["latent"] = "latent"
    model: Annotated[ModelConfig, BeforeValidator(_values)]
    stage: LatentStageConfig
    latents: list[Path]


class PixelStageJob(_Job):
    """Stage two: fine-tuning in pixel space from the latent stage's checkpoint.

    Attributes:
        start: checkpoint of the latent stage.
        stage: hyper-parameters.
        hq: folders of the true clips, of all shards: `.../{dataset}/hq/{shard}`.
        lq: folders of the degraded clips, of all shards.
        masks: folders of the masks, of all shards.
        num_draws: number of degradations of each clip.
    """

    kind: Literal["pixel"] = "pixel"
    start: Path
    stage: PixelStageConfig
    hq: list[Path]
    lq: list[Path]
    masks: list[Path]
    num_draws: Annotated[int, Field(ge=1)] = 1


TrainingJob = LatentStageJob | PixelStageJob
_ADAPTER: TypeAdapter[TrainingJob] = TypeAdapter(Annotated[TrainingJob, Field(discriminator="kind")])


def read_job(path: Path) -> TrainingJob:
    """Read what `write_job` wrote."""
    return _ADAPTER.validate_json(path.read_bytes())


def write_job(job: TrainingJob) -> None:
    """Write a job to its file, as JSON."""
    write_text(job.file, job.model_dump_json(indent=2) + "\n")
