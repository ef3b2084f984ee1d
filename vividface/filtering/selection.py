"""Which of the scored clips form the selected set (section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from vividface.config.filtering import SelectionConfig
from vividface.errors import InputError
from vividface.filtering.rubric import Rubric

_KINDS = {"video_id": "video", "person": "person"}
_COLUMNS = ["clip_id", "dataset", "shard", "video_id", "person", "judge", "score", "selected", "why"]


def threshold_of(config: SelectionConfig, rubric: Rubric) -> float | None:
    """The score above which clips are kept, or None.

    Raises:
        InputError: no clip can score above it, or every clip does.
    """
    threshold = rubric.threshold if config.threshold == "rubric" else config.threshold
    low, high = rubric.bounds
    if threshold is not None and not low <= threshold < high:
        raise InputError(
            f"filter.threshold: {threshold:g} is outside the scores {low} to {high} of the rubric "
            f"{rubric.name}"
        )
    return threshold


def final_scores(scores: pd.DataFrame, offsets: dict[str, float], rubric: Rubric) -> pd.Series:
    """The scores with offsets added to their criteria, each kept within its range; unscored ones stay null.

    Raises:
        InputError: an offset is of no criterion.
    """
    unknown = set(offsets) - set(rubric.criteria)
    if unknown:
        raise InputError(
            f"filter.offsets.{min(unknown)}: the rubric {rubric.name} has no such criterion; it has "
            f"{', '.join(rubric.criteria)}"
        )
    if not any(offsets.values()):
        return scores["score"]
    changed = [
        (scores[name] + offsets.get(name, 0)).clip(0, criterion.points)
        for name, criterion in rubric.criteria.items()
    ]
    return (pd.concat(changed, axis=1).sum(axis=1, skipna=False) + scores["adjustment"]).round(3)


def decide(
    scores: pd.DataFrame, clips: pd.DataFrame, config: SelectionConfig, rubric: Rubric
) -> pd.DataFrame:
    """Decide about every scored clip.

    Clips are taken from the best to the worst; of equal ones the order of their ids decides. A clip must
    score above the threshold, be among the best share of all, and within the caps of its video and person.

    Args:
        scores: tables of `score_shard`, of all training datasets.
        clips: their `clip_id`, `dataset`, `video_id` and `person`.
        config: the selection.
        rubric: by which they were scored.

    Returns:
        `clip_id`, `dataset`, `shard`, `video_id`, `person`, `judge`, `score` (with the offsets), `selected`
        and `why` (not), the best first and those without a score last.

    Raises:
        InputError: too many clips have no score, or the configuration does not fit the rubric.
    """
    check_unscored(scores, config.max_unscored_share)
    threshold = threshold_of(config, rubric)
    table = scores.assign(score=final_scores(scores, config.offsets, rubric))
    table = table.merge(clips[["clip_id", "dataset", "video_id", "person"]], on="clip_id", validate="1:1")
    table = table.sort_values(["score", "clip_id"], ascending=[False, True], ignore_index=True)
    among = math.floor(len(table) * config.top_share + 1e-9) if config.top_share is not None else len(table)
    caps = {"video_id": config.per_video, "person": config.per_person}
    taken: dict[tuple[str, str], int] = {}
    reasons = []
    for rank, row in enumerate(table.to_dict("records")):
        why = _rejection(row, rank, threshold, among, caps, taken)
        if not why:
            for kind in caps:
                taken[kind, row[kind]] = taken.get((kind, row[kind]), 0) + 1
        reasons.append(why)
    return table.assign(selected=[not why for why in reasons], why=reasons)[_COLUMNS]


def selected_clips(decisions: pd.DataFrame, config: SelectionConfig, rubric: Rubric) -> pd.DataFrame:
    """The selected set, MLLM-Face90.

    Returns:
        `clip_id`, `shard`, `score`, `judge`, sorted by `clip_id`.

    Raises:
        InputError: no clip is selected.
    """
    selected = decisions[decisions["selected"].astype(bool)]
    if selected.empty:
        threshold, best = threshold_of(config, rubric), decisions["score"].max()
        above = f"scores above {threshold:g}" if threshold is not None else "is among the best share"
        raise InputError(
            f"filter.threshold: no clip {above} (the best score is {best:g}); lower the threshold, raise "
            "filter.top_share, or add better videos"
        )
    return selected[["clip_id", "shard", "score", "judge"]].sort_values("clip_id", ignore_index=True)


def check_unscored(scores: pd.DataFrame, limit: float) -> None:
    """`InputError` if more than this share of the clips has no score, or there are none."""
    missing = scores[scores["score"].isna()]
    if not len(scores):
        raise InputError("no clip was scored; look at data/*/clips.parquet for why clips are not there")
    share = len(missing) / len(scores)
    if share > limit or share == 1:
        first = missing.iloc[0]
        raise InputError(
            f"{len(missing)} of {len(scores)} clips ({share:.0%}) remain without a score; for example, "
            f"{first['clip_id']}: {first['problem']}; look at `reply` in data/*/scores/*.parquet, change the "
            "judge's settings, or filter.max_unscored_share"
        )


def _rejection(
    row: dict,
    rank: int,
    threshold: float | None,
    among: int,
    caps: dict[str, int | None],
    taken: dict[tuple[str, str], int],
) -> str:
    if pd.isna(row["score"]):
        return f"unscored: {row['problem']}"
    if threshold is not None and not row["score"] > threshold:
        return f"scores {row['score']:g}, not above {threshold:g}"
    if rank >= among:
        return f"rank {rank + 1}, not among the best {among}"
    for kind, most in caps.items():
        if most is not None and taken.get((kind, row[kind]), 0) >= most:
            return f"{most} better {'clip is' if most == 1 else 'clips are'} of its {_KINDS[kind]}"
    return ""


def gather_scores(paths: Iterable[Path | str]) -> pd.DataFrame:
    """The tables of all shards as one."""
    # An empty table's columns have no type of their own.
    tables = [table for table in map(pd.read_parquet, paths) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["clip_id", "score"])
