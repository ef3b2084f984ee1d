"""Fitting the selection to a person's judgements: a threshold, and offsets of the criteria."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vividface.errors import InputError
from vividface.filtering.rubric import Rubric
from vividface.filtering.selection import final_scores

# Fewer labels than this say nothing.
_FEWEST = 5
_TRUE, _FALSE = {"1", "true", "yes", "keep"}, {"0", "false", "no", "drop"}


@dataclass(frozen=True)
class Calibration:
    """A proposal for the selection, and its effect.

    Attributes:
        threshold: threshold that agrees best with the labels; None if all labels are the same.
        offsets: points to add to the criteria that were labelled, by their names.
        table: one row per labelled clip: `clip_id`, `keep`, `before`, `after` (scores), `kept_before`,
            `kept_after`.
        agreement: by `before` and `after`: precision, recall, F1 and Spearman's rank correlation.
    """

    threshold: float | None
    offsets: dict[str, float]
    table: pd.DataFrame
    agreement: dict[str, dict[str, float]]


def read_labels(path: Path, rubric: Rubric) -> pd.DataFrame:
    """Read a CSV of a person's judgements.

    Columns: `clip_id`, and any of `keep` (1 or 0), `score` (0 to 100 or more) and the rubric's criteria, in
    points. Without `keep`, clips whose score is above the rubric's threshold are taken as kept.

    Args:
        path: path of the CSV.
        rubric: rubric of the scores.

    Returns:
        `clip_id`, `keep` (bool), `score` (null where none is given), and the labelled criteria.

    Raises:
        InputError: the file is no such table.
    """
    try:
        table = pd.read_csv(path, dtype={"clip_id": str, "keep": str}, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({' '.join(str(error).split())})") from None
    if "clip_id" not in table or not {"keep", "score"} & set(table):
        raise InputError(
            f"{path}: needs the column clip_id, and keep or score; it has {', '.join(map(str, table))}"
        )
    twice = table.loc[table["clip_id"].duplicated(), "clip_id"]
    if len(twice):
        raise InputError(f"{path}: {twice.iloc[0]} is there twice; remove one of its rows")
    columns = [name for name in ("score", *rubric.criteria) if name in table]
    for name in columns:
        try:
            table[name] = pd.to_numeric(table[name])
        except ValueError:
            raise InputError(f"{path}: the column {name} holds something that is no number") from None
        most = rubric.criteria[name].points if name in rubric.criteria else rubric.bounds[1]
        wrong = table[(table[name] > most) | (table[name] < min(0, rubric.bounds[0]))]
        if len(wrong):
            raise InputError(f"{path}: {wrong.iloc[0]['clip_id']}: {name} is not between 0 and {most}")
    if "keep" in table:
        words = table["keep"].str.strip().str.lower().str.removesuffix(".0")
        if not words.isin(_TRUE | _FALSE).all():
            wrong_word = table.loc[~words.isin(_TRUE | _FALSE), "keep"].iloc[0]
            raise InputError(f"{path}: keep is {wrong_word!r}; write 1 or 0")
        table["keep"] = words.isin(_TRUE)
    else:
        table["keep"] = table["score"] > rubric.threshold
    return table.reindex(columns=["clip_id", "keep", "score", *(c for c in columns if c != "score")])


def calibrate(scores: pd.DataFrame, labels: pd.DataFrame, *, rubric: Rubric, threshold: float) -> Calibration:
    """Propose offsets and a threshold.

    A criterion's offset is the median difference between a person's points and the judge's, so it is
    proposed only for criteria that were labelled: an overall judgement does not tell which criterion is off,
    and an offset of all of them is a threshold. The threshold is the one of highest F1 with `keep` after the
    offsets; of equal ones the highest.

    Args:
        scores: tables of `score_shard`.
        labels: table of `read_labels`.
        rubric: rubric of the scores.
        threshold: threshold in use.

    Raises:
        InputError: too few labelled clips have a score.
    """
    joined = labels.merge(scores[scores["score"].notna()], on="clip_id", suffixes=("_label", ""))
    if len(joined) < _FEWEST:
        raise InputError(
            f"{len(joined)} of {len(labels)} labelled clips have a score, but at least {_FEWEST} are needed; "
            "label more clips, by the clip_id of data/*/scores/*.parquet"
        )
    offsets = {}
    for name in rubric.criteria:
        if f"{name}_label" in joined and joined[f"{name}_label"].notna().any():
            offset = round(float((joined[f"{name}_label"] - joined[name]).median()), 2)
            if offset:
                offsets[name] = offset
    before, after = joined["score"], final_scores(joined, offsets, rubric)
    keep = joined["keep"].to_numpy(bool)
    proposed = _best_threshold(after.to_numpy(), keep, rubric) if 0 < keep.sum() < len(keep) else None
    used = threshold if proposed is None else proposed
    table = pd.DataFrame(
        {
            "clip_id": joined["clip_id"],
            "keep": keep,
            "before": before,
            "after": after,
            "kept_before": before > threshold,
            "kept_after": after > used,
        }
    ).sort_values("clip_id", ignore_index=True)
    labelled = joined["score_label"] if joined["score_label"].notna().all() else joined["keep"]
    person = {"keep": keep, "person_scores": labelled.to_numpy(float)}
    agreement = {
        "before": agreement_of(before.to_numpy(), kept=before.to_numpy() > threshold, **person),
        "after": agreement_of(after.to_numpy(), kept=after.to_numpy() > used, **person),
    }
    return Calibration(proposed, offsets, table, agreement)


def agreement_of(
    scores: np.ndarray, *, kept: np.ndarray, keep: np.ndarray, person_scores: np.ndarray
) -> dict[str, float]:
    """How well scores and a selection agree with a person.

    Args:
        scores: (N,), scores of the judge.
        kept: (N,) bool, whether the selection keeps each clip.
        keep: (N,) bool, whether the person keeps it.
        person_scores: (N,), scores of the person, or `keep` as numbers.

    Returns:
        `precision`, `recall` and `f1` of the selection, 0 where it keeps nothing, and `spearman` of the
        scores, not a number where either side is constant.
    """
    right = float((kept & keep).sum())
    precision, recall = right / max(kept.sum(), 1), right / max(keep.sum(), 1)
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    spearman = rank_correlation(scores, person_scores)
    return {"precision": precision, "recall": recall, "f1": f1, "spearman": spearman}


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, or not a number where either side is constant."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def _best_threshold(scores: np.ndarray, keep: np.ndarray, rubric: Rubric) -> float:
    low, high = rubric.bounds
    values = np.unique(scores)
    # Half-way between two scores, so that a rounded one falls on neither.
    candidates: list[float] = [float(low), *((values[1:] + values[:-1]) / 2).round(2).tolist()]

    def f1(threshold: float) -> float:
        kept = scores > threshold
        return 2 * float((kept & keep).sum()) / float(kept.sum() + keep.sum())

    return max((c for c in candidates if low <= c < high), key=lambda c: (f1(c), c))


def calibration_report(calibration: Calibration, *, threshold: float, judge: str) -> str:
    """The proposal as Markdown: keys to set, the agreement before and after, and the clips that change.

    Args:
        calibration: proposal of `calibrate`.
        threshold: threshold in use.
        judge: name of the judge.
    """
    lines = [
        "# Calibration",
        "",
        f"Judge: {judge}. {len(calibration.table)} labelled clips have a score.",
        "",
    ]
    lines += ["```yaml", "filter:"]
    if calibration.threshold is not None:
        lines.append(f"  threshold: {calibration.threshold:g} # was {threshold:g}")
    if calibration.offsets:
        offsets = ", ".join(f"{name}: {value:g}" for name, value in calibration.offsets.items())
        lines.append(f"  offsets: {{ {offsets} }}")
    if calibration.threshold is None and not calibration.offsets:
        lines[-1] += " {} # nothing to change"
    lines += ["```", ""]
    if calibration.threshold is None:
        lines += ["All clips have the same label, so no threshold can be told from them.", ""]
    lines += ["| | precision | recall | F1 | Spearman |", "| --- | --- | --- | --- | --- |"]
    for when, values in calibration.agreement.items():
        cells = " | ".join(f"{values[name]:.3f}" for name in ("precision", "recall", "f1", "spearman"))
        lines.append(f"| {when} | {cells} |")
    changed = calibration.table[calibration.table["kept_before"] != calibration.table["kept_after"]]
    lines += ["", f"{len(changed)} clips change:" if len(changed) else "No clip changes.", ""]
    if len(changed):
        lines += ["| clip | label | score before | after | now |", "| --- | --- | --- | --- | --- |"]
        for row in changed.itertuples():
            label, now = ("keep" if row.keep else "drop"), ("kept" if row.kept_after else "dropped")
            lines.append(f"| {row.clip_id} | {label} | {row.before:g} | {row.after:g} | {now} |")
        lines.append("")
    return "\n".join(lines)
