"""The report: one page with tables, curves and pictures that opens offline."""

from __future__ import annotations

import base64
import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from vividface.config import Config
from vividface.evaluation import figures
from vividface.evaluation.measure import bootstrap_interval
from vividface.evaluation.metrics import variant
from vividface.evaluation.tables import Table, build_tables, cell_texts, paired_difference
from vividface.files import atomic_path
from vividface.filtering.rubric import load_rubric
from vividface.filtering.selection import threshold_of

_PACKAGES = ("torch", "diffusers", "accelerate", "transformers", "pyiqa", "snakemake")
_SHOWN_CLIPS = 3
_COMPARED = ("bicubic", "classical", "realesrgan", "main")


@dataclass(frozen=True)
class ReportInputs:
    """What the report is made from.

    Attributes:
        metrics: rows `dataset`, `method`, `clip_id`, `metric`, `value`, `reason`.
        runs: `run.json` by (dataset, method).
        curves: training curves by `{variant}/{stage}`.
        validations: measures on clips held out from training, likewise.
        decisions: the clips' final scores, and which are selected.
        clips: the clips' table of every dataset.
        located: per benchmark, its kept clips with `clip_id`, `lq` and `hq`.
        restored: folder of each (dataset, method).
    """

    metrics: pd.DataFrame
    runs: dict[tuple[str, str], dict]
    curves: dict[str, pd.DataFrame]
    validations: dict[str, pd.DataFrame]
    decisions: pd.DataFrame
    clips: dict[str, pd.DataFrame]
    located: dict[str, pd.DataFrame]
    restored: dict[tuple[str, str], Path]


def write_report(config: Config, inputs: ReportInputs, output: Path) -> Path:
    """Render the report to `output`, a self-contained HTML file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    gains = [_gain(config, inputs, name) for name, d in config.by_role("benchmark").items() if d.degrade]
    page = environment.get_template("report.html.j2").render(
        config=config,
        headline=gains[0]["text"],
        facts=_facts(config, inputs),
        gains=gains,
        images={name: base64.b64encode(png).decode() for name, png in _images(config, inputs).items()},
        tables=[_render(t) for t in build_tables(inputs.metrics, inputs.runs, config).values()],
        selection=_selection(config, inputs.decisions),
        data=_data(config, inputs.clips),
    )
    with atomic_path(output) as temporary:
        temporary.write_text(page)
    return output


def _gain(config: Config, inputs: ReportInputs, dataset: str) -> dict:
    """The paired gain in PSNR over the degraded input, as a sentence and per clip."""
    table = paired_difference(inputs.metrics, dataset, "main", "bicubic", "psnr_rgb")
    low, high = bootstrap_interval(table["difference"].to_numpy(), config.evaluation.bootstrap)
    text = (
        f"On {len(table)} clips of {config.datasets[dataset].title} restored frames have a PSNR of "
        f"{table['method'].mean():.2f} dB, the degraded input {table['baseline'].mean():.2f} dB: a paired "
        f"gain of {table['difference'].mean():+.2f} dB (95 % interval {low:+.2f} to {high:+.2f} over clips)."
    )
    return {"text": text, "rows": table.to_dict("records")}


def _facts(config: Config, inputs: ReportInputs) -> dict[str, str]:
    run = next(run for (_, method), run in inputs.runs.items() if method == "main")
    model = config.model
    clips = f"{config.clips.frames} frames of {config.clips.size} x {config.clips.size}"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    iterations = f"{config.latent_stage.iterations} latent, {config.pixel_stage.iterations} pixel"
    return {
        "model": f"{model.preset}, prediction {model.prediction}, t* = {model.timestep:g}",
        "training clips": clips,
        "iterations": iterations,
        "seed": str(config.seed),
        "judge": f"{config.filter.judge} (the paper: Qwen2.5-VL)",
        "machine": f"{run['device']}, {run['threads']} thread(s) per job, Python {platform.python_version()}",
        "packages": versions,
    }


def _images(config: Config, inputs: ReportInputs) -> dict[str, bytes]:
    dataset = next(name for name, d in config.by_role("benchmark").items() if d.degrade)
    located = inputs.located[dataset]
    step = max(1, len(located) // _SHOWN_CLIPS)
    shown = [_versions(inputs, dataset, row) for row in located.iloc[::step].head(_SHOWN_CLIPS).itertuples()]
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


def _versions(inputs: ReportInputs, dataset: str, row: Any) -> dict[str, Path]:
    methods = {"classical": "denoise + unsharp", "realesrgan": "Real-ESRGAN", "main": "VividFace"}
    restored = {
        title: inputs.restored[dataset, method] / f"{row.clip_id}.mkv"
        for method, title in methods.items()
        if (dataset, method) in inputs.restored
    }
    return {"degraded": Path(row.lq), **restored, "ground truth": Path(row.hq)}


def _time_versus_quality(config: Config, inputs: ReportInputs, dataset: str) -> bytes:
    quality = variant("ids", config.identity)
    measured = inputs.metrics.query("dataset == @dataset and metric == @quality and method in @_COMPARED")
    if measured["value"].isna().all():
        quality = "psnr_rgb"
    points = {}
    for (name, method), run in inputs.runs.items():
        part = inputs.metrics.query("dataset == @name and method == @method and metric == @quality")
        if name == dataset and method in _COMPARED and part["value"].notna().any():
            time = 1000 * sum(run["seconds_per_clip"].values()) / sum(run["frames"].values())
            title = "VividFace" if method == "main" else method
            points[title] = (time, float(part["value"].mean()))
    table = build_tables(inputs.metrics, inputs.runs, config)[3]
    paper = {
        row.method: (float(row.cells[1].value or 0), float(row.cells[3].value or 0))
        for row in table.rows
        if row.source == "paper"
    }
    return figures.time_versus_quality(points, quality, paper)


def _render(table: Table) -> dict:
    notes = [f"[{number}] missing: {reason}" for reason, number in table.footnotes().items()]
    rows = [
        {"method": r.method, "source": r.source, "clips": r.clips or "", "cells": cell_texts(table, r)}
        for r in table.rows
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


def _data(config: Config, clips: dict[str, pd.DataFrame]) -> list[dict]:
    rows = []
    for name, table in clips.items():
        kept = table["kept"].astype(bool)
        reasons = table.loc[~kept, "reason"].value_counts()
        rejected = "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) or "none"
        rows.append({"title": config.datasets[name].title, "kept": int(kept.sum()), "rejected": rejected})
    return rows
