"""Is the filter worth its cost? How steady a judge is, whom it agrees with, and other sets to train on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vividface.errors import InputError
from vividface.evaluation.metrics import direction
from vividface.filtering.calibration import agreement_of, rank_correlation, read_labels
from vividface.filtering.rubric import Rubric


def by_hash(identifiers: list[str], count: int, seed: int) -> list[str]:
    """So many of the identifiers at random; an identifier's chance does not depend on the others."""
    return sorted(identifiers, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())[:count]


def study_sets(
    decisions: pd.DataFrame, quality: pd.DataFrame, metrics: list[str], seed: int
) -> dict[str, pd.DataFrame]:
    """Sets as large as the judge's: the best by a metric, and any, among all clips that have a score.

    Args:
        decisions: of `decide`.
        quality: rows `clip_id`, `metric`, `value`.
        metrics: the first that is measured ranks the clips.
        seed: of the random set.

    Returns:
        `metric` and `random`: `clip_id`, `shard`, `score` (the judge's), `judge` (who selected).

    Raises:
        InputError: no metric is measured.
    """
    scored = decisions[decisions["score"].notna()]
    count = int(decisions["selected"].sum())
    values = quality.pivot(index="clip_id", columns="metric", values="value")
    measured = [name for name in metrics if name in values and values[name].notna().all()]
    if not measured:
        reasons = "; ".join(f"{r.metric}: {r.reason}" for r in quality[quality["value"].isna()].itertuples())
        raise InputError(
            f"filter.study.metrics: none of {', '.join(metrics)} is measured on every clip ({reasons[:300]})"
        )
    best = (
        scored["clip_id"]
        .map(values[measured[0]])
        .sort_values(ascending=direction(measured[0]) == "lower", kind="stable")
    )
    chosen = {
        "metric": (measured[0], set(scored.loc[best.index[:count], "clip_id"])),
        "random": ("random", set(by_hash(list(scored["clip_id"]), count, seed))),
    }
    return {
        name: scored[scored["clip_id"].isin(ids)][["clip_id", "shard", "score"]]
        .assign(judge=who)
        .sort_values("clip_id", ignore_index=True)
        for name, (who, ids) in chosen.items()
    }


def study(
    decisions: pd.DataFrame,
    repeated: pd.DataFrame,
    quality: pd.DataFrame,
    sets: Mapping[str, pd.DataFrame],
    rubric: Rubric,
    threshold: float | None,
    labels: Path | None = None,
) -> dict[str, Any]:
    """All figures of the study, as values of JSON; null where a figure cannot be told.

    Args:
        decisions: of `decide`.
        repeated: of `score_repeatedly`.
        quality: rows `clip_id`, `metric`, `value`, `reason`.
        sets: of `study_sets`.
        rubric: of the scores.
        threshold: above which clips are kept.
        labels: a CSV of judgements, see `read_labels`.
    """
    scored = decisions[decisions["score"].notna()].set_index("clip_id")
    kept = set(scored.index[scored["selected"]])
    results: dict[str, Any] = {
        "judge": sorted(decisions["judge"].unique()),
        "clips": len(decisions),
        "selected": len(kept),
        "repeats": _repeats(repeated, threshold),
        "metrics": {},
        "sets": {
            name: {
                "clips": len(table),
                "shared_with_judge": len(kept & set(table["clip_id"])) / max(len(table), 1),
            }
            for name, table in sets.items()
        },
        "labels": None,
    }
    for metric, rows in quality.groupby("metric"):
        values = rows.set_index("clip_id")["value"].reindex(scored.index)
        known = values.notna()
        if not known.any():
            results["metrics"][str(metric)] = {"missing": str(rows["reason"].iloc[0])}
            continue
        sign = 1 if direction(str(metric)) == "higher" else -1
        rank = rank_correlation(scored.loc[known, "score"].to_numpy(), sign * values[known].to_numpy())
        results["metrics"][str(metric)] = {"clips": int(known.sum()), "spearman": rank}
    if labels is not None:
        results["labels"] = _against_labels(scored, quality, sets, read_labels(labels, rubric))
    return _plain(results)


def _repeats(repeated: pd.DataFrame, threshold: float | None) -> dict[str, Any]:
    """The spread of the same clip's scores, and how often it would fall on both sides of the threshold."""
    scored = repeated[repeated["score"].notna()]
    by_clip = scored.groupby("clip_id")["score"]
    several = by_clip.filter(lambda values: len(values) > 1)
    groups = scored.loc[several.index].groupby("clip_id")["score"]
    result: dict[str, Any] = {
        "clips": groups.ngroups,
        "scores": len(several),
        "unscored": int(repeated["score"].isna().sum()),
        "variance": float(groups.var(ddof=1).mean()) if groups.ngroups else None,
        "standard_deviation": float(np.sqrt(groups.var(ddof=1).mean())) if groups.ngroups else None,
        "largest_range": float((groups.max() - groups.min()).max()) if groups.ngroups else None,
        "variance_between_clips": float(groups.mean().var(ddof=1)) if groups.ngroups > 1 else None,
    }
    if threshold is not None and groups.ngroups:
        above = groups.agg(lambda values: (values > threshold).mean())
        result["undecided_share"] = float(((above > 0) & (above < 1)).mean())
    return result


def _against_labels(
    scored: pd.DataFrame, quality: pd.DataFrame, sets: Mapping[str, pd.DataFrame], labels: pd.DataFrame
) -> dict[str, Any]:
    """Spearman with a person's judgements, and precision at the share that the judge keeps."""
    labelled = labels[labels["clip_id"].isin(scored.index)].set_index("clip_id")
    if labelled.empty:
        raise InputError(
            "filter.study.labels: none of its clips has a score; see data/*/scores for their clip_id"
        )
    judged = scored.loc[labelled.index]
    keep = labelled["keep"].to_numpy(bool)
    truth = (labelled["score"] if labelled["score"].notna().all() else labelled["keep"]).to_numpy(float)
    kept = judged["selected"].to_numpy(bool)
    rankings = {"judge": judged["score"].to_numpy(float)}
    for metric, rows in quality.groupby("metric"):
        values = rows.set_index("clip_id")["value"].reindex(labelled.index).to_numpy(float)
        if not np.isnan(values).any():
            rankings[str(metric)] = values if direction(str(metric)) == "higher" else -values
    result: dict[str, Any] = {"clips": len(labelled), "kept_by_the_person": int(keep.sum())}
    count = max(int(kept.sum()), 1)
    for name, values in rankings.items():
        best = np.zeros(len(values), bool)
        best[np.argsort(-values, kind="stable")[:count]] = True
        result[name] = {
            "spearman": rank_correlation(values, truth),
            "precision_at_kept": float(keep[best].mean()),
        }
    result["random"] = {"spearman": 0.0, "precision_at_kept": float(keep.mean())}
    result["selection"] = agreement_of(rankings["judge"], kept, keep, truth)
    return result


def study_report(results: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    repeats = results["repeats"]
    lines = [
        "# Is the filter worth it?",
        "",
        f"{', '.join(results['judge'])} selects {results['selected']} of {results['clips']} clips.",
        "",
        "## The same clip scored again",
        "",
        f"{repeats['clips']} clips, {repeats['scores']} scores, {repeats['unscored']} without one.",
        "",
        "| figure | value |",
        "| --- | --- |",
        *(f"| {name.replace('_', ' ')} | {_text(value)} |" for name, value in list(repeats.items())[3:]),
        "",
        "## Agreement with no-reference metrics",
        "",
        "Spearman's rank correlation of score and metric; positive where both call the same clips good.",
        "",
        "| metric | clips | Spearman |",
        "| --- | --- | --- |",
    ]
    for name, values in results["metrics"].items():
        cells = (
            f"missing: {values['missing']} | "
            if "missing" in values
            else (f"{values['clips']} | {_text(values['spearman'])}")
        )
        lines.append(f"| {name} | {cells} |")
    lines += [
        "",
        "## Sets of equal size to train on",
        "",
        "| selected by | clips | shared with the judge's |",
    ]
    lines.append("| --- | --- | --- |")
    for name, values in results["sets"].items():
        lines.append(f"| {name} | {values['clips']} | {values['shared_with_judge']:.0%} |")
    if results["labels"]:
        labels = dict(results["labels"])
        lines += ["", "## Agreement with a person", ""]
        lines += [f"{labels.pop('clips')} labelled clips; {labels.pop('kept_by_the_person')} are to be kept."]
        selection = labels.pop("selection")
        lines += ["", "| ranked by | Spearman | precision at the kept share |", "| --- | --- | --- |"]
        for name, values in labels.items():
            lines.append(f"| {name} | {_text(values['spearman'])} | {_text(values['precision_at_kept'])} |")
        said = ", ".join(f"{name} {_text(value)}" for name, value in selection.items() if name != "spearman")
        lines += ["", f"The selection itself: {said}."]
    return "\n".join([*lines, ""])


def _text(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _plain(values: Any) -> Any:
    """As JSON has them: what is not a number is null."""
    return json.loads(
        json.dumps(values, default=float),
        parse_constant=lambda _: None,
        parse_float=lambda text: float(text) if math.isfinite(float(text)) else None,
    )
