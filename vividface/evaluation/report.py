"""The report: one page with tables, curves and pictures that opens offline."""

from __future__ import annotations

import base64
import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vividface.config import BASELINES, Config
from vividface.data.clips import locate_clips
from vividface.evaluation import figures
from vividface.evaluation.metrics import variant
from vividface.evaluation.pages import render_page
from vividface.evaluation.paper import paper_tables
from vividface.evaluation.runs import Run
from vividface.evaluation.statistics import bootstrap_interval, comparable, paired_difference
from vividface.evaluation.table_formats import Table, cell_texts
from vividface.evaluation.tables import build_tables, read_results
from vividface.files import write_text
from vividface.filtering.rubric import load_rubric
from vividface.filtering.selection import threshold_of

_PACKAGES = ("torch", "diffusers", "accelerate", "transformers", "pyiqa")
_SHOWN_CLIPS = 3
# The paper's method, and the variant that stands for it here.
_PAPERS, _OURS = "VividFace", "main"
# Methods that the pictures show beside the input.
_COMPARED = ("classical", "realesrgan", _OURS)


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Results of a run of the workflow.

    Attributes:
        metrics: rows `dataset`, `method`, `clip_id`, `video`, `metric`, `value`, `reason`.
        runs: runs by (dataset, method).
        curves: training curves by `{variant}/{stage}`.
        validations: measures of validation clips by `{variant}/{stage}`.
        decisions: final scores of the clips, and which are selected.
        clips: table of the clips, by dataset.
        located: kept clips with `clip_id`, `lq` and `hq`, by benchmark.
        restored: folder of each (dataset, method).
    """

    metrics: pd.DataFrame
    runs: Mapping[tuple[str, str], Run]
    curves: Mapping[str, pd.DataFrame]
    validations: Mapping[str, pd.DataFrame]
    decisions: pd.DataFrame
    clips: Mapping[str, pd.DataFrame]
    located: Mapping[str, pd.DataFrame]
    restored: Mapping[tuple[str, str], Path]

    @classmethod
    def read(
        cls,
        *,
        metrics: Iterable[str],
        restored: Iterable[str],
        curves: Iterable[str],
        validations: Iterable[str],
        decisions: str,
        clips: Iterable[str],
        lq: Iterable[str],
        hq: Iterable[str],
    ) -> ReportInputs:
        """Read the workflow's files.

        Args:
            metrics: tables `results/metrics/{dataset}/{method}.parquet`.
            restored: folders `results/restored/{dataset}/{method}`.
            curves: files `checkpoints/{variant}/{stage}.csv`.
            validations: files `checkpoints/{variant}/{stage}_validation.csv`.
            decisions: table of `vividface.filtering.selection.decide`.
            clips: tables `data/{dataset}/clips.parquet`.
            lq: folders of the benchmarks' degraded clips, `data/{dataset}/{lq or hq}/{shard}`.
            hq: folders of the benchmarks' true clips, `data/{dataset}/hq/{shard}`.
        """
        folders = [Path(path) for path in restored]
        measurements, runs = read_results(metrics, folders)
        tables = {Path(path).parent.name: path for path in clips}
        shards = {"lq": list(lq), "hq": list(hq)}
        benchmarks = dict.fromkeys(folder.parent.name for folder in folders)
        return cls(
            metrics=measurements,
            runs=runs,
            curves=_by_training(curves),
            validations=_by_training(validations),
            decisions=pd.read_parquet(decisions),
            clips={name: pd.read_parquet(path) for name, path in tables.items()},
            located={
                name: locate_clips(
                    [tables[name]],
                    **{
                        kind: [path for path in paths if _dataset_of(path) == name]
                        for kind, paths in shards.items()
                    },
                )
                for name in benchmarks
            },
            restored={(folder.parent.name, folder.name): folder for folder in folders},
        )


def _by_training(paths: Iterable[str]) -> dict[str, pd.DataFrame]:
    tables = {}
    for path in map(Path, paths):
        tables[f"{path.parent.name}/{path.stem.removesuffix('_validation')}"] = pd.read_csv(path)
    return tables


def _dataset_of(shard: str) -> str:
    return Path(shard).parts[-3]


def write_report(config: Config, inputs: ReportInputs, output: Path) -> Path:
    """Render the report.

    Args:
        config: the experiment.
        inputs: results of the run.
        output: HTML file, self-contained.

    Returns:
        `output`.
    """
    tables = build_tables(inputs.metrics, inputs.runs, config)
    gains = [_gain(config, inputs, name) for name in _with_reference(config)]
    page = render_page(
        "report.html.j2",
        config=config,
        headline=gains[0]["text"],
        facts=_facts(config, inputs),
        gains=gains,
        images={name: base64.b64encode(png).decode() for name, png in _images(config, inputs).items()},
        tables=[_render(table) for table in tables.values()],
        selection=_selection(config, inputs.decisions),
        data=_data(config, inputs.clips),
    )
    write_text(output, page)
    return output


def _with_reference(config: Config) -> list[str]:
    return [name for name, dataset in config.by_role("benchmark").items() if dataset.has_reference]


def _gain(config: Config, inputs: ReportInputs, dataset: str) -> dict[str, Any]:
    """The paired gain in PSNR over the degraded input, as a sentence and per clip."""
    table = paired_difference(
        inputs.metrics, dataset=dataset, method="main", baseline="bicubic", metric="psnr_rgb"
    )
    interval = bootstrap_interval(
        table["difference"].to_numpy(), table["video"], resamplings=config.evaluation.bootstrap
    )
    spread = "no interval, since all clips are of one video"
    if interval is not None:
        num_videos = table["video"].nunique()
        spread = f"95 % interval {interval[0]:+.2f} to {interval[1]:+.2f} over {num_videos} videos"
    text = (
        f"On {len(table)} clips of {config.datasets[dataset].title} restored frames have a PSNR of "
        f"{table['method'].mean():.2f} dB, the degraded input {table['baseline'].mean():.2f} dB: a paired "
        f"gain of {table['difference'].mean():+.2f} dB ({spread})."
    )
    return {"text": text, "rows": table.to_dict("records")}


def _facts(config: Config, inputs: ReportInputs) -> dict[str, str]:
    run = next(run for (_, method), run in inputs.runs.items() if method == _OURS)
    model = config.model
    clips = f"{config.clips.num_frames} frames of {config.clips.size} x {config.clips.size}"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    iterations = f"{config.latent_stage.iterations} latent, {config.pixel_stage.iterations} pixel"
    return {
        "model": f"{model.preset}, prediction {model.prediction}, t* = {model.timestep:g}",
        "training clips": clips,
        "iterations": iterations,
        "seed": str(config.seed),
        "judge": f"{config.filter.judge} (the paper: Qwen2.5-VL)",
        "machine": f"{run.device}, {run.threads} thread(s) per job, Python {platform.python_version()}",
        "packages": versions,
    }


def _images(config: Config, inputs: ReportInputs) -> dict[str, bytes]:
    dataset = _with_reference(config)[0]
    located = inputs.located[dataset]
    step = max(1, len(located) // _SHOWN_CLIPS)
    clips = located.iloc[::step].head(_SHOWN_CLIPS).to_dict("records")
    shown = [_versions(config, inputs, dataset, clip) for clip in clips]
    return {
        "before_after": figures.before_after(shown),
        "temporal_slice": figures.temporal_slice(shown[0]),
        "time_versus_quality": _time_versus_quality(config, inputs, dataset),
        "training_curves": figures.training_curves(inputs.curves, inputs.validations),
        "datasets": figures.dataset_statistics(
            {config.datasets[name].title: table for name, table in inputs.clips.items()}
        ),
        "scores": figures.score_histogram(inputs.decisions["score"].dropna(), _threshold(config)),
    }


def _versions(config: Config, inputs: ReportInputs, dataset: str, clip: Mapping[Any, Any]) -> dict[str, Path]:
    """The path of each version of a clip by its title in the pictures."""
    restored = {
        _short_title(config, method): inputs.restored[dataset, method] / f"{clip['clip_id']}.mkv"
        for method in _COMPARED
        if (dataset, method) in inputs.restored
    }
    return {"degraded": Path(clip["lq"]), **restored, "ground truth": Path(clip["hq"])}


def _short_title(config: Config, method: str) -> str:
    """A method's title without what stands in parentheses."""
    title = BASELINES.get(method) or config.variants[method].title
    return title.partition(" (")[0]


def _time_versus_quality(config: Config, inputs: ReportInputs, dataset: str) -> bytes:
    methods = [name for name in ("bicubic", *_COMPARED) if (dataset, name) in inputs.runs]
    measured = comparable(
        inputs.metrics[(inputs.metrics["dataset"] == dataset) & inputs.metrics["method"].isin(methods)]
    )
    quality = variant("ids", config.faces.identity_network)
    if quality not in set(measured["metric"]):
        quality = "psnr_rgb"
    means = measured[measured["metric"] == quality].groupby("method")["value"].mean()
    times = {method: inputs.runs[dataset, method].milliseconds_per_frame for method in methods}
    points = {
        _short_title(config, method): (time, float(means[method]))
        for method, time in times.items()
        if time is not None and method in means
    }
    paper = {
        method: (time, ids) for method, (time, ids) in paper_tables()[3].values("Time (s)", "IDS").items()
    }
    ours = {_short_title(config, _OURS), _PAPERS}
    return figures.time_versus_quality(points, quality=quality, paper=paper, highlighted=ours)


def _render(table: Table) -> dict[str, Any]:
    notes = [f"[{number}] missing: {reason}" for reason, number in table.footnotes().items()]
    rows = [
        {
            "method": row.method,
            "source": row.source,
            "clips": row.num_clips or "",
            "cells": cell_texts(table, row),
        }
        for row in table.rows
    ]
    benchmarks = ", ".join(dict.fromkeys(row.benchmark for row in table.rows if row.benchmark))
    return {
        "number": table.number,
        "title": table.title,
        "headings": table.headings(),
        "rows": rows,
        "benchmarks": benchmarks,
        "notes": [*notes, *table.notes],
    }


def _threshold(config: Config) -> float | None:
    return threshold_of(config.filter, load_rubric(config.filter.rubric))


def _selection(config: Config, decisions: pd.DataFrame) -> str:
    kept, unscored = int(decisions["selected"].sum()), int(decisions["score"].isna().sum())
    judges = ", ".join(sorted(decisions["judge"].unique()))
    limits = []
    if (threshold := _threshold(config)) is not None:
        limits.append(f"score above {threshold:g}")
    if config.filter.top_share is not None:
        limits.append(f"are among the best {config.filter.top_share:.0%}")
    return (
        f"The judge “{judges}” scored {len(decisions)} clips on the rubric {config.filter.rubric}; {kept} "
        f"{' and '.join(limits)} and form the selected set. {unscored} remain without a score."
    )


def _data(config: Config, clips: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    rows = []
    for name, table in clips.items():
        kept = table["kept"].astype(bool)
        reasons = table.loc[~kept, "reason"].value_counts()
        rejected = "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) or "none"
        rows.append({"title": config.datasets[name].title, "kept": int(kept.sum()), "rejected": rejected})
    return rows
