"""The whole experiment: every section, and what must hold between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import field_validator, model_validator

from vividface.config.clips import ClipsConfig
from vividface.config.datasets import DatasetConfig
from vividface.config.degradation import DegradationConfig
from vividface.config.evaluation import BASELINES, EvaluationConfig, FolderMethodConfig
from vividface.config.faces import FacesConfig
from vividface.config.fields import Identifier, Section, key, without_null
from vividface.config.filtering import FilterConfig
from vividface.config.model import ModelConfig
from vividface.config.restoration import RestorationConfig
from vividface.config.training import LatentStageConfig, PixelStageConfig, TrainingConfig, VariantConfig

STAGES = ("latent_stage", "pixel_stage")


class Config(Section):
    """The whole experiment."""

    name: str = key("name of the experiment, the report's title", "")
    seed: int = key("seed of all that is drawn at random", ge=0)
    num_shards: int = key("units of cluster work; a clip's shard is a hash of its id", "", ge=1)
    weights: list[str] = key("third-party weights to fetch; `vividface weights list` names all", "")
    datasets: dict[Identifier, DatasetConfig] = key(
        "sets of videos (docs/datasets.md); null removes one", "section 4.1"
    )
    clips: ClipsConfig = key("face region extraction", "section 3.3")
    faces: FacesConfig = key("face backend", "section 3.2")
    degradation: DegradationConfig = key("degradation synthesis (docs/degradation.md)", "section 4.1")
    filter: FilterConfig = key("MLLM filtering (docs/filtering.md)", "section 3.3")
    model: ModelConfig = key("one-step model", "section 3.1")
    training: TrainingConfig = key("keys of both stages, which each stage may override", "section 4.1")
    latent_stage: LatentStageConfig = key("stage one", "Eq. 7")
    pixel_stage: PixelStageConfig = key("stage two", "Eq. 8")
    variants: dict[Identifier, VariantConfig] = key("training runs; null removes one", "Tables 4-6")
    evaluation: EvaluationConfig = key("methods and metrics (docs/metrics.md)", "section 4.1")
    restoration: RestorationConfig = key("windows of a restored video", "")

    @model_validator(mode="before")
    @classmethod
    def _stages_inherit(cls, values: Any) -> Any:
        """Lay each stage's section over the keys that the stages share."""
        if not isinstance(values, Mapping) or not isinstance(values.get("training"), Mapping):
            return values
        stages = {name: values[name] for name in STAGES if isinstance(values.get(name), Mapping)}
        return {**values, **{name: {**values["training"], **stage} for name, stage in stages.items()}}

    @field_validator("datasets", "variants", mode="before")
    @classmethod
    def _null_removes(cls, entries: Any) -> Any:
        """Leave out the entries that an overlay sets to null."""
        return without_null(entries)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_variants()
        self._check_methods()
        for stage in STAGES:
            frames = getattr(self, stage).num_frames
            if frames > self.clips.num_frames:
                raise ValueError(
                    f"{stage}.num_frames: {frames} is more than clips.num_frames, which is "
                    f"{self.clips.num_frames}"
                )
        if self.pixel_stage.num_validation_clips > self.latent_stage.num_validation_clips:
            raise ValueError(
                "pixel_stage.num_validation_clips: more than latent_stage.num_validation_clips would measure "
                "people whom the latent stage has trained on; lower it"
            )
        for role in ("train", "benchmark"):
            if not self.by_role(role):
                raise ValueError(f"datasets: none has the role {role!r}")
        if all(dataset.candidates for dataset in self.by_role("train").values()):
            raise ValueError("datasets: all to train on are `candidates`, so the coarse set is empty")
        if not any(dataset.has_reference for dataset in self.by_role("benchmark").values()):
            raise ValueError(
                "datasets: no benchmark has `degrade: true` or an `lq_source`, so nothing has a ground truth"
            )
        return self

    def _check_variants(self) -> None:
        if "main" not in self.variants:
            raise ValueError("variants: the variant `main` is missing")
        own = [name for name, variant in self.variants.items() if variant.latent_stage_of is None]
        for name, variant in self.variants.items():
            if variant.latent_stage_of not in (None, *own):
                raise ValueError(
                    f"variants.{name}.latent_stage_of: {variant.latent_stage_of!r} has no latent stage of "
                    f"its own; name one of {own}"
                )
            if variant.selected_by != "judge" and self.filter.study is None:
                raise ValueError(
                    f"variants.{name}.selected_by: {variant.selected_by!r} needs the section filter.study"
                )
        if taken := set(self.variants) & set(BASELINES):
            raise ValueError(f"variants.{taken.pop()}: this is a baseline's name; choose another")

    def _check_methods(self) -> None:
        for name, method in self.evaluation.methods.items():
            if name in {*BASELINES, *self.variants}:
                raise ValueError(
                    f"evaluation.methods.{name}: a baseline or a variant has this name; choose another"
                )
            folders = method.folders if isinstance(method, FolderMethodConfig) else {}
            if unknown := sorted(set(folders) - set(self.by_role("benchmark"))):
                raise ValueError(
                    f"evaluation.methods.{name}.folders.{unknown[0]}: is no benchmark; choose of "
                    f"{', '.join(self.by_role('benchmark'))}"
                )

    def shard_names(self, dataset: str) -> list[str]:
        """The shards of a dataset: `0000`, `0001`, ..."""
        return [f"{shard:04d}" for shard in range(self.datasets[dataset].num_shards or self.num_shards)]

    def methods(self) -> list[str]:
        """Everything that is evaluated: the baselines, the methods of others, then the variants."""
        return [*self.evaluation.baselines, *self.evaluation.methods, *self.variants]

    def by_role(self, role: str) -> dict[str, DatasetConfig]:
        """The datasets of one role, in the configuration's order."""
        return {name: dataset for name, dataset in self.datasets.items() if dataset.role == role}
