"""The milestones of the workflow: what DVC versions as one piece, and which rules make it.

This is the only place that says so. A test compares it with the inputs and outputs of the rules themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vividface.config import STAGES, Config
from vividface.config.datasets import FolderSource, Source
from vividface.config.evaluation import PublishedMethodConfig
from vividface.errors import InputError

# Rules without a script, whose output is of this machine alone.
_UNVERSIONED = frozenset({"method_environment"})


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """One piece of the workflow.

    Attributes:
        name: name of the milestone, and of its stage in dvc.yaml.
        rules: rules that make it.
        target: Snakemake's target or options that run it.
        outputs: files and folders that its rules make, by the configuration.
        inputs: files and folders of other milestones that its rules read.
        in_all: whether the target `all` makes it; otherwise the target is a file, made on request.
    """

    name: str
    rules: tuple[str, ...]
    target: str
    outputs: Callable[[Config], list[str]]
    inputs: Callable[[Config], list[str]]
    in_all: bool = True

    @property
    def versioned_rules(self) -> list[str]:
        """Those of its rules whose outputs are versioned; each has a script of its name."""
        return [rule for rule in self.rules if rule not in _UNVERSIONED]

    def in_use(self) -> bool:
        """Whether it belongs to the run in the working directory."""
        return self.in_all or Path(self.target).exists()


def milestone_of(rule: str) -> Milestone:
    """The milestone that a rule belongs to.

    Raises:
        InputError: it belongs to none, so that what it makes would be versioned nowhere.
    """
    for milestone in MILESTONES.values():
        if rule in milestone.rules:
            return milestone
    raise InputError(f"rule {rule}: belongs to no milestone; add it to vividface/workflow/milestones.py")


def trained(config: Config, stage: str, *suffixes: str) -> list[str]:
    """Outputs of a stage's trainings, by their suffix after the checkpoint's name."""
    variants = [n for n, v in config.variants.items() if stage == "pixel_stage" or v.latent_stage_of is None]
    return [f"checkpoints/{variant}/{stage}{suffix}" for variant in variants for suffix in suffixes]


def _of(datasets: Iterable[str], *kinds: str) -> list[str]:
    return [f"data/{dataset}/{kind}" for dataset in datasets for kind in kinds]


def _train(config: Config) -> list[str]:
    return list(config.by_role("train"))


def _degraded(config: Config) -> list[str]:
    """The datasets that are degraded here: those to train on always."""
    return [name for name, dataset in config.datasets.items() if dataset.degrade or dataset.role == "train"]


def _with_reference(config: Config) -> list[str]:
    return [name for name, dataset in config.by_role("benchmark").items() if dataset.has_reference]


def _benchmark_clips(config: Config) -> list[str]:
    benchmarks = config.by_role("benchmark")
    return [*_of(benchmarks, "clips.parquet", "hq"), *_of(_with_reference(config), "lq")]


def _selected(config: Config) -> list[str]:
    """The tables of the clips that trainings end on."""
    by = {variant.selected_by for variant in config.variants.values()}
    return [
        *(["data/selection/face90.parquet"] if "judge" in by else []),
        *(f"data/selection/study/{name}.parquet" for name in sorted(by - {"judge"})),
    ]


def _data_outputs(config: Config) -> list[str]:
    outputs = ["data/weights.json", "data/shared.parquet"]
    for name, dataset in config.datasets.items():
        kinds = ["videos.parquet", "shots", "plan.parquet", "clips", "hq", "faces", "clips.parquet"]
        kinds += ["masks"] if dataset.role == "train" else []
        kinds += _fetched(dataset.source)
        if dataset.lq_source is not None:
            kinds += ["lq_videos.parquet", "lq"]
            kinds += [f"lq_source/{folder}" for folder in _fetched(dataset.lq_source)]
        outputs += _of([name], *kinds)
    return outputs


def _fetched(source: Source) -> list[str]:
    """The folders that a source's videos are brought to."""
    folders = [] if isinstance(source, FolderSource) else ["videos"]
    return [*folders, *(["encoded"] if getattr(source, "frames_fps", None) else [])]


def _published(config: Config) -> list[str]:
    """The published methods that are run."""
    methods = config.evaluation.methods.items()
    return [name for name, method in methods if isinstance(method, PublishedMethodConfig)]


def _curves(config: Config) -> list[str]:
    return [path for stage in STAGES for path in trained(config, stage, ".csv", "_validation.csv")]


_STAGE_OUTPUTS = ("", ".csv", "_validation.csv")
MILESTONES = {
    milestone.name: milestone
    for milestone in (
        Milestone(
            name="data",
            rules=(
                "fetch_weights",
                "fetch_pretrained",
                "empty_prompt",
                "fetch_dataset",
                "fetch_lq",
                "find_shots",
                "find_shared",
                "plan_clips",
                "extract_clips",
                "gather_clips",
                "extract_lq",
                "face_masks",
            ),
            target="--until gather_clips extract_lq face_masks",
            outputs=_data_outputs,
            inputs=lambda config: [],
        ),
        Milestone(
            name="degraded",
            rules=("degrade",),
            target="--until degrade",
            outputs=lambda config: _of(_degraded(config), "lq", "degradation"),
            inputs=lambda config: _of(_degraded(config), "clips.parquet", "hq"),
        ),
        Milestone(
            name="scores",
            rules=("fetch_judge", "score_clips", "select_clips"),
            target="--until select_clips",
            outputs=lambda config: [
                *_of(_train(config), "scores"),
                "data/selection/face90.parquet",
                "data/selection/decisions.parquet",
            ],
            inputs=lambda config: _of(_train(config), "clips.parquet", "hq", "masks", "faces"),
        ),
        Milestone(
            name="study",
            rules=("repeat_scores", "clip_quality", "study_sets", "filter_study"),
            target="results/filter_study.md",
            outputs=lambda config: [
                *_of(_train(config), "scores_repeated", "quality"),
                "data/selection/study",
                "results/filter_study.md",
                "results/filter_study.json",
            ],
            inputs=lambda config: [
                "data/weights.json",
                *_of(_train(config), "clips.parquet", "hq", "masks", "faces"),
                "data/selection/decisions.parquet",
            ],
            in_all=False,
        ),
        Milestone(
            name="latents",
            rules=("encode_latents",),
            target="--until encode_latents",
            outputs=lambda config: _of(_train(config), "latents"),
            inputs=lambda config: _of(_train(config), "clips.parquet", "hq", "lq", "masks"),
        ),
        Milestone(
            name="latent_stage",
            rules=("latent_stage",),
            target="--until latent_stage",
            outputs=lambda config: trained(config, "latent_stage", *_STAGE_OUTPUTS),
            inputs=lambda config: [*_of(_train(config), "clips.parquet", "latents"), *_selected(config)],
        ),
        Milestone(
            name="pixel_stage",
            rules=("pixel_stage",),
            target="--until pixel_stage",
            outputs=lambda config: trained(config, "pixel_stage", *_STAGE_OUTPUTS),
            inputs=lambda config: [
                "data/weights.json",
                *_of(_train(config), "clips.parquet", "hq", "lq", "masks"),
                *_selected(config),
                *trained(config, "latent_stage", ""),
            ],
        ),
        Milestone(
            name="evaluation",
            rules=(
                "import_results",
                "method_environment",
                "fetch_method",
                "run_method",
                "restore_benchmark",
                "benchmark_faces",
                "measure",
            ),
            target="--until measure",
            outputs=lambda config: [
                *(["data/methods"] if _published(config) else []),
                "results/restored",
                "results/benchmark_faces",
                "results/metrics",
            ],
            inputs=lambda config: [
                "data/weights.json",
                *_benchmark_clips(config),
                *trained(config, "pixel_stage", ""),
            ],
        ),
        Milestone(
            name="tables",
            rules=("write_tables", "filtering_page", "render_report", "showcase", "enhance"),
            target="all",
            outputs=lambda config: [
                "results/tables",
                "results/summary",
                "results/report.html",
                "results/filtering.html",
                "results/enhanced",
            ],
            inputs=lambda config: [
                "data/weights.json",
                *_of(config.datasets, "clips.parquet"),
                *_of(_with_reference(config)[:1], "videos.parquet"),
                *_of(_train(config), "hq", "scores"),
                "data/selection/decisions.parquet",
                *(path for path in _benchmark_clips(config) if not path.endswith("clips.parquet")),
                "results/metrics",
                "results/restored",
                "checkpoints/main/pixel_stage",
                *_curves(config),
            ],
        ),
    )
}
