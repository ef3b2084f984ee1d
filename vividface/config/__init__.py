"""The experiment as typed, validated models: the only reader of config.yaml.

Every section is a small pydantic model, so that a rule can take just the section it depends on as a
parameter (and Snakemake reruns it only when that section changes), and a library function can be called
with the same object from Python.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from vividface.config.base import Section
from vividface.config.datasets import DatasetConfig
from vividface.config.filtering import FilterConfig
from vividface.errors import InputError


def _one_plus_multiple_of_four(frames: int) -> int:
    if (frames - 1) % 4:
        raise ValueError(f"{frames} frames do not fit the autoencoder: use 1 + a multiple of 4")
    return frames


Range = tuple[float, float]
Frames = Annotated[int, Field(ge=1), AfterValidator(_one_plus_multiple_of_four)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]


class ClipsConfig(Section):
    """Cutting videos into clips and cropping the face (paper section 3.3)."""

    frames: Annotated[Frames, Field(ge=5)]
    size: Annotated[int, Field(ge=32)]
    cut_threshold: Annotated[float, Field(gt=0, lt=255)]
    margin: Annotated[float, Field(ge=0, le=2)]
    min_face: Annotated[int, Field(ge=16)]
    max_lost_share: Annotated[float, Field(ge=0, lt=1)]
    max_padding_share: Annotated[float, Field(ge=0, lt=1)]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]

    @field_validator("size")
    @classmethod
    def _multiple_of_sixteen(cls, size: int) -> int:
        if size % 16:
            raise ValueError(f"{size} px is not a multiple of 16")
        return size


class FacesConfig(Section):
    """The face backend: detection, landmarks, parsing, identity."""

    backend: Literal["dlib", "facexlib"]
    detection_size: Annotated[int, Field(ge=128)]
    detector: Literal["retinaface_resnet50", "retinaface_mobile0.25"] = "retinaface_resnet50"
    min_score: Annotated[float, Field(gt=0, lt=1)] = 0.8
    batch_size: Annotated[int, Field(ge=1)] = 8
    mask: list[Literal["face", "hair", "neck", "cloth"]] = Field(["face"], min_length=1)


class _DegradationRanges(Section):
    """Ranges from which a clip's parameters are drawn uniformly."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        bounds = {"sigma": (0.0, 50.0), "scale": (1.0, 16.0), "noise": (0.0, 255.0), "crf": (0, 51)}
        for name, (lowest, highest) in bounds.items():
            low, high = getattr(self, name)
            if not lowest <= low <= high <= highest:
                raise ValueError(
                    f"{name}: [{low}, {high}] is not an increasing range within [{lowest}, {highest}]"
                )
        return self


class VividFaceDegradation(_DegradationRanges):
    """y = [(x * k_sigma) down_r + n_delta] through ffmpeg at crf (section 4.1)."""

    sigma: Range
    scale: Range
    noise: Range
    crf: tuple[int, int]


class KeepDegradation(_DegradationRanges):
    """Blur, noise, down-sampling with a random kernel, noise, codec (KEEP, Feng et al., ECCV 2024)."""

    kernel_size: Annotated[int, Field(ge=3, le=101)]
    sigma: Range
    isotropic: Annotated[float, Field(ge=0, le=1)]
    scale: Range
    interpolations: dict[Literal["area", "linear", "cubic"], Annotated[float, Field(ge=0)]]
    noise: Range
    grey: Annotated[float, Field(ge=0, le=1)]
    crf: tuple[int, int]

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError(f"{size} is even: a kernel has a centre")
        return size

    @field_validator("interpolations")
    @classmethod
    def _some_weight(cls, weights: dict) -> dict:
        if not sum(weights.values()):
            raise ValueError("no kernel has a weight")
        return weights


class DegradationConfig(Section):
    """How training and benchmark clips are degraded."""

    preset: Literal["vividface", "keep"]
    codec: Literal["libx264"]
    encoder_preset: str
    vividface: VividFaceDegradation | None = None
    keep: KeepDegradation | None = None

    @model_validator(mode="after")
    def _described(self) -> DegradationConfig:
        if getattr(self, self.preset) is None:
            raise ValueError(f"preset: {self.preset} is chosen, but its section is missing")
        return self


class PretrainedConfig(Section):
    """A repository of the Hugging Face Hub, and the folder that it is brought to."""

    repo: str
    revision: str = "main"
    folder: Path


class ModelConfig(Section):
    """The one-step model of section 3.1."""

    preset: Literal["wan-1.3b", "nano"]
    pretrained: PretrainedConfig | None = None
    transformer: Path | None = None
    autoencoder: Path | None = None
    text_encoder: Path | None = None
    tokenizer: Path | None = None
    prompt_embedding: Path | None = None
    prediction: Literal["velocity", "wan"]
    timestep: Annotated[float, Field(ge=0, le=1000)]

    @model_validator(mode="after")
    def _pretrained_parts(self) -> ModelConfig:
        if self.preset == "wan-1.3b":
            needed = ("transformer", "autoencoder", "prompt_embedding")
            missing = [name for name in needed if getattr(self, name) is None]
            if missing:
                raise ValueError(f"preset wan-1.3b needs {' and '.join(missing)}")
        if (self.text_encoder is None) != (self.tokenizer is None):
            raise ValueError("text_encoder and tokenizer are needed together, or neither")
        return self

    def pretrained_parts(self) -> dict[str, Path]:
        """What is brought from `pretrained`: the folders that lie in its folder, by their keys."""
        if self.pretrained is None or self.preset == "nano":
            return {}
        names = ("transformer", "autoencoder", "text_encoder", "tokenizer")
        paths = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return {name: path for name, path in paths.items() if path.is_relative_to(self.pretrained.folder)}


class StageConfig(Section):
    """One training stage."""

    iterations: Annotated[int, Field(ge=0)]
    frames: Frames
    batch_size: Annotated[int, Field(ge=1)]
    micro_batch: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    warmup: Annotated[int, Field(ge=0)]
    schedule: Literal["constant", "cosine"]
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    lora_rank: Annotated[int, Field(ge=0)] = 0
    precision: Literal["no", "bf16"]
    gradient_checkpointing: bool
    strategy: Literal["ddp", "fsdp"] = "ddp"
    normalise_by_mask: bool = False
    max_loss_ratio: Annotated[float, Field(gt=1)] = 100
    workers: Annotated[int, Field(ge=0)] = 0
    log_every: Annotated[int, Field(ge=1)]
    validate_every: Annotated[int, Field(ge=1)]
    checkpoint_every: Annotated[int, Field(ge=1)]
    keep_last: Annotated[int, Field(ge=1)] = 2
    keep_every: Annotated[int, Field(ge=0)] = 0

    def trajectory(self) -> dict[str, Any]:
        """The keys that change what is trained, as opposed to how it is watched and stored."""
        others = {
            "micro_batch",
            "strategy",
            "workers",
            "log_every",
            "validate_every",
            "checkpoint_every",
            "keep_last",
            "keep_every",
        }
        return self.model_dump(mode="json", exclude=others | {"max_loss_ratio"})


class LatentStageConfig(StageConfig):
    """Stage one: Eq. 7 on precomputed latents."""

    fine_share: Annotated[float, Field(ge=0, le=1)]


class PixelStageConfig(StageConfig):
    """Stage two: Eq. 8 on decoded frames."""

    dists_weight: Annotated[float, Field(ge=0)]


class WatchConfig(Section):
    """What can be seen of a training while it runs."""

    validation_clips: Annotated[int, Field(ge=0)] = 8
    wandb: str | None = None


class VariantConfig(Section):
    """A training run: the paper's (`main`) or one of the ablations of Tables 4-6.

    `selected_by` takes another set of as many clips for the selected one: the best by a metric, or any.
    """

    title: str
    latent_p: Annotated[float, Field(ge=0, le=1)] = 0.5
    pixel_p: Annotated[float, Field(ge=0, le=1)] = 0.5
    selected_set: bool = True
    # Left out of a rule's parameters where it is the default: what is trained already need not be again.
    selected_by: Literal["judge", "metric", "random"] = Field("judge", exclude_if=lambda by: by == "judge")
    latent_stage_of: Identifier | None = None


class EvaluationConfig(Section):
    """What is measured, and against what."""

    baselines: list[Literal["bicubic", "classical", "realesrgan", "autoencoder", "untuned"]]
    metrics: Annotated[list[str], Field(min_length=1)]
    bootstrap: Annotated[int, Field(ge=100)]


class RestorationConfig(Section):
    """How a video is restored: its windows, its faces, its colours."""

    window: Frames
    overlap: Annotated[int, Field(ge=0)]
    cut_threshold: Annotated[float, Field(gt=0, lt=255)] | None = 27
    colour: Literal["none", "adain", "wavelet"] = "none"
    scale: Annotated[float, Field(gt=0, le=8)] = 1
    margin: Annotated[float, Field(ge=0, le=2)] = 0.3
    min_face: Annotated[int, Field(ge=8)] = 24

    @model_validator(mode="after")
    def _fits(self) -> RestorationConfig:
        if 2 * self.overlap > self.window:
            raise ValueError(f"overlap: {self.overlap} frames are more than half the window of {self.window}")
        return self


class Config(Section):
    """The whole experiment."""

    name: str
    seed: Annotated[int, Field(ge=0)]
    shards: Annotated[int, Field(ge=1)]
    assets: list[str]
    datasets: dict[Identifier, DatasetConfig]
    clips: ClipsConfig
    faces: FacesConfig
    degradation: DegradationConfig
    filter: FilterConfig
    model: ModelConfig
    latent_stage: LatentStageConfig
    pixel_stage: PixelStageConfig
    watch: WatchConfig = WatchConfig()
    variants: dict[Identifier, VariantConfig]
    evaluation: EvaluationConfig
    restoration: RestorationConfig

    @field_validator("datasets", "variants", mode="before")
    @classmethod
    def _null_removes(cls, entries: Any) -> Any:
        """An overlay removes an entry of the file below it by setting it to null."""
        if isinstance(entries, dict):
            return {name: entry for name, entry in entries.items() if entry is not None}
        return entries

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if "main" not in self.variants:
            raise ValueError("variants: the variant `main` is missing")
        for name, variant in self.variants.items():
            origin = variant.latent_stage_of
            if origin is not None and (
                origin not in self.variants or self.variants[origin].latent_stage_of is not None
            ):
                raise ValueError(
                    f"variants.{name}.latent_stage_of: {origin!r} has no latent stage of its own; "
                    f"name one of {[n for n, v in self.variants.items() if v.latent_stage_of is None]}"
                )
            if variant.selected_by != "judge" and self.filter.study is None:
                raise ValueError(
                    f"variants.{name}.selected_by: {variant.selected_by!r} needs the section filter.study"
                )
        taken = set(self.variants) & {"bicubic", "classical", "realesrgan", "autoencoder", "untuned"}
        if taken:
            raise ValueError(f"variants.{taken.pop()}: this is a baseline's name; choose another")
        for stage in ("latent_stage", "pixel_stage"):
            frames = getattr(self, stage).frames
            if frames > self.clips.frames:
                raise ValueError(
                    f"{stage}.frames: {frames} is more than clips.frames, which is {self.clips.frames}"
                )
        for role in ("train", "benchmark"):
            if not self.by_role(role):
                raise ValueError(f"datasets: none has the role {role!r}")
        if not any(d.degrade for d in self.by_role("benchmark").values()):
            raise ValueError("datasets: no benchmark has `degrade: true`, so nothing has a ground truth")
        return self

    def shard_names(self, dataset: str) -> list[str]:
        """The shards of a dataset: `0000`, `0001`, ..."""
        return [f"{shard:04d}" for shard in range(self.datasets[dataset].shards or self.shards)]

    def methods(self) -> list[str]:
        """Everything that is evaluated: the baselines, then the variants."""
        return [*self.evaluation.baselines, *self.variants]

    @property
    def identity(self) -> str:
        """The identity network of the face backend, as the metrics' variants carry it."""
        return {"dlib": "dlib", "facexlib": "irse50"}[self.faces.backend]

    def by_role(self, role: str) -> dict[str, DatasetConfig]:
        """The datasets of one role, in the configuration's order."""
        return {name: dataset for name, dataset in self.datasets.items() if dataset.role == role}


def validate_config(values: dict[str, Any]) -> Config:
    """Validate a nested mapping.

    Raises:
        InputError: in one line, naming each wrong key by its dotted path.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise InputError(f"configuration: {describe_problems(error)}") from None


def load_config(*paths: Path | str) -> Config:
    """Read YAML files, later ones laid over earlier ones key by key, and validate the result."""
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            values = yaml.safe_load(Path(path).read_text())
        except (OSError, yaml.YAMLError) as error:
            raise InputError(f"{path}: cannot be read as YAML: {error}") from None
        merged = merge(merged, values or {})
    return validate_config(merged)


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Lay `overlay` over `base`: mappings are merged, anything else replaces (as Snakemake does)."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def describe_problems(error: ValidationError) -> str:
    """All problems of a validation in one line, each with the dotted path of its key."""
    return "; ".join(_describe(problem) for problem in error.errors())


def _describe(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key; remove it or correct its spelling"
    if problem["type"] == "missing":
        message = "this key is required"
    path = ".".join(str(part) for part in problem["loc"])
    return f"{path}: {message}" if path else message
