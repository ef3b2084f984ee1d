"""dvc.yaml, rendered from the configuration: a stage per milestone, whose command is a Snakemake target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from vividface.config import Config, load_config
from vividface.config.datasets import FolderSource
from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.milestones import MILESTONES
from vividface.provenance.hashes import RECORDS

PIPELINE = Path("dvc.yaml")
CONFIG = Path("config.yaml")
_HEADER = """\
# Rendered from the configuration by `vividface pipeline`: change that, not this.
# Snakemake runs the steps, DVC versions what they make: docs/versions.md.
"""
_TARGETS = {
    "data": "--until gather_clips face_masks",
    "degraded": "--until degrade",
    "scores": "--until select_clips",
    "latents": "--until encode_latents",
    "latent_stage": "--until latent_stage",
    "pixel_stage": "--until pixel_stage",
    "evaluation": "--until measure",
    "tables": "all",
}
# The keys of the configuration that a milestone's own rules depend on; `tables` prints of all of them.
_PARAMS = {
    "data": ("seed", "shards", "assets", "datasets", "clips", "faces"),
    "degraded": ("seed", "degradation"),
    "scores": ("filter",),
    "latents": ("model", "latent_stage.frames"),
    "latent_stage": ("seed", "model", "latent_stage", "variants", "watch"),
    "pixel_stage": ("seed", "pixel_stage", "variants", "watch"),
    "evaluation": ("seed", "model", "faces", "restoration", "evaluation.baselines", "evaluation.metrics"),
    "tables": tuple(Config.model_fields),
}


def write_pipeline(overlays: Sequence[Path], profile: str | None = None, path: Path = PIPELINE) -> bool:
    """Render dvc.yaml for config.yaml with overlays; returns whether it changed.

    Args:
        overlays: the files given to `snakemake --configfile`; none for the paper's experiment.
        profile: of Snakemake, for the stages' commands; without one they use this machine's cores.
        path: where it goes.
    """
    text = _HEADER + yaml.safe_dump(pipeline(overlays, profile), sort_keys=False, width=110)
    if path.is_file() and path.read_text() == text:
        return False
    with atomic_path(path) as temporary:
        temporary.write_text(text)
    return True


def settings(path: Path = PIPELINE) -> tuple[list[Path], str | None]:
    """The overlays and the profile that dvc.yaml was rendered with."""
    try:
        variables = {key: value for entry in _read(path)["vars"] for key, value in entry.items()}
        return [Path(file) for file in variables["configfiles"]], variables["profile"]
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: was not rendered by `vividface pipeline`; run that first") from None


def pipeline(overlays: Sequence[Path], profile: str | None = None) -> dict[str, Any]:
    """The content of dvc.yaml."""
    config = load_config(CONFIG, *overlays)
    raw = {path: _read(path) for path in (CONFIG, *overlays)}
    outs, deps = _outs(config), _deps(config)
    stages = {}
    for milestone, rules in MILESTONES.items():
        made = [*outs[milestone], f"{RECORDS}/{milestone}"]
        stages[milestone] = {
            "cmd": f"${{run}} {_TARGETS[milestone]}",
            "deps": [*deps[milestone], *(f"scripts/{rule}.py" for rule in rules)],
            "params": [{str(p): keys} for p, v in raw.items() if (keys := _present(v, _PARAMS[milestone]))],
            # Snakemake decides what is made again: DVC removes nothing before it runs.
            "outs": [{out: {"persist": True}} for out in made],
        }
    files = " ".join(map(str, overlays))
    run = ["snakemake", f"--configfile {files}" if files else "", f"--profile {profile}" if profile else ""]
    return {
        "vars": [
            {"configfiles": [str(path) for path in overlays]},
            {"profile": profile},
            {"run": " ".join([*filter(None, run), *([] if profile else ["--cores all"])])},
        ],
        "stages": stages,
        "metrics": [f"results/summary/{method}.json" for method in config.methods()],
        "plots": _plots(config),
    }


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {error}") from None


def _present(values: dict[str, Any], keys: Iterable[str]) -> list[str]:
    """Those dotted keys that a file has."""
    found = []
    for key in keys:
        held: Any = values
        for part in key.split("."):
            held = held.get(part, ...) if isinstance(held, dict) else ...
        if held is not ...:
            found.append(key)
    return found


def _outs(config: Config) -> dict[str, list[str]]:
    train = list(config.by_role("train"))
    data = ["data/assets.json"]
    for name, dataset in config.datasets.items():
        kinds = ["videos.parquet", "shots", "plan.parquet", "clips", "hq", "faces", "clips.parquet"]
        kinds += ["masks"] if name in train else []
        kinds += [] if isinstance(dataset.source, FolderSource) else ["videos"]
        kinds += ["encoded"] if getattr(dataset.source, "frames_fps", None) else []
        data += [f"data/{name}/{kind}" for kind in kinds]
    return {
        "data": data,
        "degraded": [f"data/{d}/{kind}" for d in _degraded(config) for kind in ("lq", "degradation")],
        "scores": [*(f"data/{d}/scores" for d in train), "data/face90.parquet", "data/decisions.parquet"],
        "latents": [f"data/{d}/latents" for d in train],
        "latent_stage": _trained(config, "latent_stage", "", ".csv", "_validation.csv"),
        "pixel_stage": _trained(config, "pixel_stage", "", ".csv", "_validation.csv"),
        "evaluation": ["results/restored", "results/reference_faces", "results/metrics"],
        "tables": [
            "results/tables",
            "results/summary",
            "results/report.html",
            "results/filtering.html",
            "results/enhanced",
        ],
    }


def _deps(config: Config) -> dict[str, list[str]]:
    train, benchmarks = list(config.by_role("train")), list(config.by_role("benchmark"))
    degraded = _degraded(config)

    def of(datasets: Iterable[str], *kinds: str) -> list[str]:
        return [f"data/{d}/{kind}" for d in datasets for kind in kinds if kind != "lq" or d in degraded]

    curves = [
        *_trained(config, "latent_stage", ".csv", "_validation.csv"),
        *_trained(config, "pixel_stage", ".csv", "_validation.csv"),
    ]
    selected = "data/face90.parquet"
    return {
        "data": [],
        "degraded": of(degraded, "clips.parquet", "hq"),
        "scores": of(train, "clips.parquet", "hq", "masks", "faces"),
        "latents": of(train, "clips.parquet", "hq", "lq", "masks"),
        "latent_stage": [*of(train, "latents"), selected],
        "pixel_stage": [
            "data/assets.json",
            *of(train, "clips.parquet", "hq", "lq", "masks"),
            selected,
            *_trained(config, "latent_stage", ""),
        ],
        "evaluation": [
            "data/assets.json",
            *of(benchmarks, "clips.parquet", "hq", "lq"),
            *_trained(config, "pixel_stage", ""),
        ],
        "tables": [
            *of(config.datasets, "videos.parquet", "clips.parquet"),
            *of(train, "hq", "scores"),
            "data/decisions.parquet",
            *of(benchmarks, "hq", "lq"),
            "results/metrics",
            "results/restored",
            "checkpoints/main/pixel_stage",
            *curves,
        ],
    }


def _degraded(config: Config) -> list[str]:
    """The datasets that are degraded here: those to train on are always."""
    return [name for name, dataset in config.datasets.items() if dataset.degrade or dataset.role == "train"]


def _trained(config: Config, stage: str, *suffixes: str) -> list[str]:
    """What the trainings of a stage leave, by its suffix after the checkpoint's name."""
    variants = [n for n, v in config.variants.items() if stage == "pixel_stage" or v.latent_stage_of is None]
    return [f"checkpoints/{variant}/{stage}{suffix}" for variant in variants for suffix in suffixes]


def _plots(config: Config) -> list[dict[str, Any]]:
    plots = []
    for stage in ("latent_stage", "pixel_stage"):
        title = stage.replace("_", " ")
        for column, suffix in (("loss", ".csv"), ("psnr", "_validation.csv")):
            files = _trained(config, stage, suffix)
            plot = {"x": "step", "y": dict.fromkeys(files, column), "title": f"{title}: {column}"}
            plots.append({f"{stage}_{column}": plot})
    return plots
