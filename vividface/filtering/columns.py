"""The columns of a judge's scores, `scores/{shard}.parquet` in docs/data-formats.md."""

from __future__ import annotations

from collections.abc import Iterable

# The clip, who scored it and by what; then come the criteria's points; then the sums and what explains them.
BEFORE_CRITERIA = ("clip_id", "shard", "judge", "model", "revision", "settings", "rubric", "prompt")
AFTER_CRITERIA = (
    *("base", "adjustment", "score", "tier", "reasons", "flags", "problem", "reply", "attempts"),
    *("input_tokens", "output_tokens", "cost"),
)
_TYPES = {
    **dict.fromkeys(("base", "adjustment", "score", "cost"), "float64"),
    "attempts": "int64",
    # Null where nothing counts tokens.
    **dict.fromkeys(("input_tokens", "output_tokens"), "Int64"),
}


def score_columns(criteria: Iterable[str]) -> list[str]:
    """All columns, in their order."""
    return [*BEFORE_CRITERIA, *criteria, *AFTER_CRITERIA]


def score_types(criteria: Iterable[str]) -> dict[str, str]:
    """The types of the columns that hold numbers."""
    return _TYPES | dict.fromkeys(criteria, "float64")
