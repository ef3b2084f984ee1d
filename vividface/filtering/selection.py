"""Which of the scored clips form the selected set (section 3.3)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vividface.config.filtering import SelectionConfig
from vividface.errors import InputError
from vividface.filtering.rubric import Rubric

# Columns by which the number of clips may be capped, and their names in the configuration and in reasons.
_CAPPED = {"video_id": "video", "person": "person"}
_COLUMNS = ["clip_id", "dataset", "shard", "video_id", "person", "judge", "score", "selected", "why"]


def gather_scores(paths: Iterable[Path | str]) -> pd.DataFrame:
    """The tables of all shards as one."""
    # An empty table's columns have no type of their own.
    tables = [table for table in map(pd.read_parquet, paths) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["clip_id", "score"])


def threshold_of(config: SelectionConfig, rubric: Rubric) -> float | None:
    """The score above which clips are kept, or None.

    Raises:
        InputError: no clip can score above it, or all do.
    """
    threshold = rubric.threshold if config.threshold == "rubric" else config.threshold
    low, high = rubric.bounds
    if threshold is not None and not low <= threshold < high:
        raise InputError(
            f"filter.threshold: {threshold:g} is outside the scores {low} to {high} of the rubric "
            f"{rubric.name}"
        )
    return threshold


def final_scores(scores: pd.DataFrame, offsets: Mapping[str, float], rubric: Rubric) -> pd.Series:
    """The scores with offsets added to their criteria, each kept within its range.

    Args:
        scores: tables of `score_shard`.
        offsets: points added to criteria, by their names.
        rubric: rubric of the scores.

    Returns:
        the scores; null for unscored clips.

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
    points = [
        (scores[name] + offsets.get(name, 0)).clip(0, criterion.points)
        for name, criterion in rubric.criteria.items()
    ]
    return (pd.concat(points, axis=1).sum(axis=1, skipna=False) + scores["adjustment"]).round(3)


def decide(
    scores: pd.DataFrame, clips: pd.DataFrame, *, config: SelectionConfig, rubric: Rubric
) -> pd.DataFrame:
    """Decide about all scored clips.

    Clips are taken from the best to the worst; of equal ones the order of their ids decides. A clip must
    score above the threshold, be among the best share of the scored clips, and within the caps of its video
    and person.

    Args:
        scores: tables of `score_shard`, of all training datasets.
        clips: one row per clip: `clip_id`, `dataset`, `video_id`, `person`.
        config: threshold, share, caps and offsets.
        rubric: rubric of the scores.

    Returns:
        `clip_id`, `dataset`, `shard`, `video_id`, `person`, `judge`, `score` (with the offsets), `selected`
        and `why` (not), the best first and those without a score last.

    Raises:
        InputError: too many clips have no score, or the configuration does not fit the rubric.
    """
    _check_unscored(scores, max_share=config.max_unscored_share)
    threshold = threshold_of(config, rubric)
    table = scores.assign(score=final_scores(scores, config.offsets, rubric))
    table = table.merge(clips[["clip_id", "dataset", "video_id", "person"]], on="clip_id", validate="1:1")
    table = table.sort_values(["score", "clip_id"], ascending=[False, True], ignore_index=True)
    selection = _Selection(config, threshold=threshold, num_scored=int(table["score"].notna().sum()))
    why = [selection.rejects(row) or "" for row in table.to_dict("records")]
    return table.assign(selected=[not reason for reason in why], why=why)[_COLUMNS]


def selected_clips(decisions: pd.DataFrame, config: SelectionConfig, rubric: Rubric) -> pd.DataFrame:
    """The selected set, MLLM-Face90.

    Args:
        decisions: table of `decide`.
        config: threshold, share, caps and offsets that it was decided by.
        rubric: rubric of the scores.

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


class _Selection:
    """Takes clips, from the best to the worst, as far as the configuration lets it.

    Args:
        config: share and caps.
        threshold: score that a selected clip exceeds; None sets no limit.
        num_scored: number of clips with a score, whose best share is taken.
    """

    def __init__(self, config: SelectionConfig, *, threshold: float | None, num_scored: int) -> None:
        self._threshold = threshold
        share = config.top_share
        self._num_best = math.floor(num_scored * share + 1e-9) if share is not None else num_scored
        caps = {column: getattr(config, f"per_{name}") for column, name in _CAPPED.items()}
        self._caps: dict[str, int] = {column: cap for column, cap in caps.items() if cap is not None}
        self._num_taken: Counter[tuple[str, str]] = Counter()
        self._num_seen = 0

    def rejects(self, row: Mapping[Any, Any]) -> str | None:
        """Why the next best clip is not selected; None takes it."""
        self._num_seen += 1
        if pd.isna(row["score"]):
            return f"unscored: {row['problem']}"
        if self._threshold is not None and not row["score"] > self._threshold:
            return f"scores {row['score']:g}, not above {self._threshold:g}"
        if self._num_seen > self._num_best:
            return f"rank {self._num_seen}, not among the best {self._num_best}"
        for column, cap in self._caps.items():
            if self._num_taken[column, row[column]] >= cap:
                return f"{cap} better {'clip is' if cap == 1 else 'clips are'} of its {_CAPPED[column]}"
        self._num_taken.update((column, row[column]) for column in self._caps)
        return None


def _check_unscored(scores: pd.DataFrame, *, max_share: float) -> None:
    """`InputError` if more than a share of the clips has no score, or there are none."""
    unscored = scores[scores["score"].isna()]
    if not len(scores):
        raise InputError("no clip was scored; look at data/*/clips.parquet for why clips are missing")
    share = len(unscored) / len(scores)
    if share > max_share or share == 1:
        first = unscored.iloc[0]
        raise InputError(
            f"{len(unscored)} of {len(scores)} clips ({share:.0%}) remain without a score; for example, "
            f"{first['clip_id']}: {first['problem']}; look at `reply` in data/*/scores/*.parquet, change the "
            "judge's settings, or filter.max_unscored_share"
        )
