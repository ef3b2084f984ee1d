"""Is the filter worth its cost? A judge's repeatability and agreement, and other sets to train on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vividface.errors import InputError
from vividface.evaluation.metrics import direction
from vividface.files import seeded_hash
from vividface.filtering.calibration import agreement_of, rank_correlation, read_labels
from vividface.filtering.rubric import Rubric


def by_hash(identifiers: Iterable[str], num_chosen: int, *, seed: int) -> list[str]:
    """Choose at most `num_chosen` identifiers at random: those with the smallest seeded hashes."""
    return sorted(identifiers, key=lambda name: seeded_hash(seed, name))[:num_chosen]


def clips_to_repeat(clips: pd.DataFrame, shard: pd.DataFrame, *, num_clips: int, seed: int) -> pd.DataFrame:
    """The clips of a shard that are scored again.

    Args:
        clips: kept clips of all training datasets.
        shard: kept clips of the shard.
        num_clips: number of clips to score again, of all datasets.
        seed: seed of the choice.
    """
    chosen = by_hash(clips["clip_id"], num_clips, seed=seed)
    return shard[shard["clip_id"].isin(chosen)]


def study_sets(
    decisions: pd.DataFrame, quality: pd.DataFrame, *, metrics: Sequence[str], seed: int
) -> dict[str, pd.DataFrame]:
    """Sets as large as the judge's, of all clips that have a score: the best by a metric, and random ones.

    Args:
        decisions: table of `decide`.
        quality: rows `clip_id`, `metric`, `value`, `reason`.
        metrics: metrics, the first of which that is measured ranks the clips.
        seed: seed of the random set.

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
        "random": ("random", set(by_hash(scored["clip_id"], count, seed=seed))),
    }
    return {
        name: scored[scored["clip_id"].isin(ids)][["clip_id", "shard", "score"]]
        .assign(judge=who)
        .sort_values("clip_id", ignore_index=True)
        for name, (who, ids) in chosen.items()
    }


def study(
    decisions: pd.DataFrame,
    *,
    repeated: pd.DataFrame,
    quality: pd.DataFrame,
    sets: Mapping[str, pd.DataFrame],
    rubric: Rubric,
    threshold: float | None,
    labels: Path | None = None,
) -> dict[str, Any]:
    """All figures of the study, as values of JSON; null where a figure is not defined.

    Args:
        decisions: table of `decide`.
        repeated: table of `score_repeatedly`.
        quality: rows `clip_id`, `metric`, `value`, `reason`.
        sets: tables of `study_sets`.
        rubric: rubric that the scores were given on.
        threshold: score above which clips are kept; None keeps by rank alone.
        labels: CSV of judgements, as `read_labels` reads it.
    """
    scored = decisions[decisions["score"].notna()].set_index("clip_id")
    kept = set(scored.index[scored["selected"]])
    results = {
        "judge": sorted(decisions["judge"].unique()),
        "clips": len(decisions),
        "selected": len(kept),
        "repeats": _repeats(repeated, threshold),
        "metrics": {str(name): _agreement(scored, rows) for name, rows in quality.groupby("metric")},
        "sets": {
            name: {
                "clips": len(table),
                "shared_with_judge": len(kept & set(table["clip_id"])) / max(len(table), 1),
            }
            for name, table in sets.items()
        },
        "labels": _against_labels(scored, quality, read_labels(labels, rubric)) if labels else None,
    }
    return _plain(results)


def _agreement(scored: pd.DataFrame, quality: pd.DataFrame) -> dict[str, Any]:
    """Spearman's rank correlation of the judge's scores and a metric; positive where they agree.

    Args:
        scored: scored clips, by their ids.
        quality: rows of one metric.
    """
    values = _goodness(quality, scored.index)
    measured = values.notna()
    if not measured.any():
        return {"missing": str(quality["reason"].iloc[0])}
    rank = rank_correlation(scored.loc[measured, "score"].to_numpy(), values[measured].to_numpy())
    return {"clips": int(measured.sum()), "spearman": rank}


def _goodness(quality: pd.DataFrame, clips: pd.Index) -> pd.Series:
    """One metric's values of some clips, negated where lower is better."""
    sign = 1 if direction(str(quality["metric"].iloc[0])) == "higher" else -1
    return sign * quality.set_index("clip_id")["value"].reindex(clips)


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


def _against_labels(scored: pd.DataFrame, quality: pd.DataFrame, labels: pd.DataFrame) -> dict[str, Any]:
    """Spearman with a person's judgements, and precision at the share that the judge keeps."""
    labelled = labels[labels["clip_id"].isin(scored.index)].set_index("clip_id")
    if labelled.empty:
        raise InputError(
            "filter.study.labels: none of its clips has a score; see data/*/scores for their clip_id"
        )
    judged = scored.loc[labelled.index]
    keep = labelled["keep"].to_numpy(bool)
    person_scores = labelled["score"] if labelled["score"].notna().all() else labelled["keep"]
    person = person_scores.to_numpy(float)
    kept = judged["selected"].to_numpy(bool)
    rankings = {"judge": judged["score"].to_numpy(float)}
    for metric, rows in quality.groupby("metric"):
        values = _goodness(rows, labelled.index).to_numpy(float)
        if not np.isnan(values).any():
            rankings[str(metric)] = values
    result: dict[str, Any] = {"clips": len(labelled), "kept_by_the_person": int(keep.sum())}
    count = max(int(kept.sum()), 1)
    for name, values in rankings.items():
        best = np.zeros(len(values), bool)
        best[np.argsort(-values, kind="stable")[:count]] = True
        result[name] = {
            "spearman": rank_correlation(values, person),
            "precision_at_kept": float(keep[best].mean()),
        }
    result["random"] = {"spearman": 0.0, "precision_at_kept": float(keep.mean())}
    result["selection"] = agreement_of(rankings["judge"], kept=kept, keep=keep, person_scores=person)
    return result


def study_report(results: Mapping[str, Any]) -> str:
    """The figures as Markdown.

    Args:
        results: figures of `study`.
    """
    lines = [
        "# Is the filter worth it?",
        "",
        f"{', '.join(results['judge'])} selects {results['selected']} of {results['clips']} clips.",
        *_repeats_section(results["repeats"]),
        *_metrics_section(results["metrics"]),
        *_sets_section(results["sets"]),
        *(_labels_section(results["labels"]) if results["labels"] else []),
        "",
    ]
    return "\n".join(lines)


def _repeats_section(repeats: Mapping[str, Any]) -> list[str]:
    counts = ("clips", "scores", "unscored")
    figures = {name: value for name, value in repeats.items() if name not in counts}
    return [
        "",
        "## The same clip scored again",
        "",
        f"{repeats['clips']} clips, {repeats['scores']} scores, {repeats['unscored']} without one.",
        "",
        "| figure | value |",
        "| --- | --- |",
        *(f"| {name.replace('_', ' ')} | {_text(value)} |" for name, value in figures.items()),
    ]


def _metrics_section(metrics: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "## Agreement with no-reference metrics",
        "",
        "Spearman's rank correlation of score and metric; positive where both call the same clips good.",
        "",
        "| metric | clips | Spearman |",
        "| --- | --- | --- |",
    ]
    for name, values in metrics.items():
        if "missing" in values:
            lines.append(f"| {name} | missing: {values['missing']} |  |")
        else:
            lines.append(f"| {name} | {values['clips']} | {_text(values['spearman'])} |")
    return lines


def _sets_section(sets: Mapping[str, Any]) -> list[str]:
    return [
        "",
        "## Sets of equal size to train on",
        "",
        "| selected by | clips | shared with the judge's |",
        "| --- | --- | --- |",
        *(
            f"| {name} | {values['clips']} | {values['shared_with_judge']:.0%} |"
            for name, values in sets.items()
        ),
    ]


def _labels_section(labels: Mapping[str, Any]) -> list[str]:
    rankings = {
        name: values
        for name, values in labels.items()
        if name not in ("clips", "kept_by_the_person", "selection")
    }
    figures = {name: value for name, value in labels["selection"].items() if name != "spearman"}
    return [
        "",
        "## Agreement with a person",
        "",
        f"{labels['clips']} labelled clips; {labels['kept_by_the_person']} are to be kept.",
        "",
        "| ranked by | Spearman | precision at the kept share |",
        "| --- | --- | --- |",
        *(
            f"| {name} | {_text(values['spearman'])} | {_text(values['precision_at_kept'])} |"
            for name, values in rankings.items()
        ),
        "",
        f"The selection itself: {', '.join(f'{name} {_text(value)}' for name, value in figures.items())}.",
    ]


def _text(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON has them: what is not a number is null."""
    plain: dict[str, Any] = json.loads(
        json.dumps(values, default=float),
        parse_constant=lambda _: None,
        parse_float=lambda text: float(text) if math.isfinite(float(text)) else None,
    )
    return plain
