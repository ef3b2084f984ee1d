"""A page that shows what the judge saw, said and decided, so that a person can check it; opens offline."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from vividface.config.filtering import SelectionConfig
from vividface.errors import InputError
from vividface.evaluation.pages import render_page
from vividface.files import write_text
from vividface.filtering.rubric import Rubric
from vividface.filtering.selection import threshold_of
from vividface.video import sample_evenly

_FRAMES, _SIDE = 4, 128
# A page of more pictures than this is slow to open: those whose scores are nearest the threshold have them.
_PICTURES = 600


def write_filtering_page(
    scores: pd.DataFrame,
    decisions: pd.DataFrame,
    *,
    hq_dirs: Mapping[tuple[str, str], Path],
    config: SelectionConfig,
    rubric: Rubric,
    output: Path,
) -> Path:
    """Render the page, one sortable row per clip.

    Args:
        scores: tables of `score_shard`.
        decisions: table of `decide`.
        hq_dirs: folders of the clips, by (dataset, shard).
        config: selection.
        rubric: rubric that the scores were given on.
        output: HTML file.

    Returns:
        `output`.
    """
    threshold = threshold_of(config, rubric)
    table = decisions.merge(scores.drop(columns=["score", "shard", "judge"]), on="clip_id", validate="1:1")
    middle = threshold if threshold is not None else table["score"].median()
    nearest = set((table["score"] - middle).abs().sort_values(na_position="first").index[:_PICTURES])
    rows = []
    for index, row in enumerate(table.to_dict("records")):
        video = hq_dirs[row["dataset"], row["shard"]] / f"{row['clip_id']}.mkv"
        rows.append(_row(row, rubric, _strip(video) if index in nearest else ""))
    page = render_page(
        "filtering.html.j2",
        rows=rows,
        rubric=rubric,
        judges=_judges(scores),
        selected=int(decisions["selected"].sum()),
        threshold=threshold,
        config=config,
    )
    write_text(output, page)
    return output


def _row(row: dict[Any, Any], rubric: Rubric, picture: str) -> dict[str, Any]:
    reasons = json.loads(row["reasons"])
    adjustments = [f"{name} {rubric.adjustments[name].points:+d}" for name in reasons.pop("adjustments")]
    measures = reasons.pop("measures", {})
    return {
        **row,
        "picture": picture,
        "points": [None if pd.isna(row[name]) else row[name] for name in rubric.criteria],
        "score": None if pd.isna(row["score"]) else row["score"],
        "adjustments": adjustments,
        "reasons": [*reasons.items(), *((name, f"{value:.4g}") for name, value in measures.items())],
        "flags": json.loads(row["flags"]),
    }


def _strip(video: Path) -> str:
    """Evenly spaced frames of a clip side by side, a JPEG in base 64; empty if none can be read."""
    try:
        frames = [
            cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
            for frame in sample_evenly(video, _FRAMES)
        ]
    except InputError:
        return ""
    image = cv2.cvtColor(np.hstack(frames), cv2.COLOR_RGB2BGR)
    return base64.b64encode(bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])).decode()


def _judges(scores: pd.DataFrame) -> list[str]:
    columns = ["judge", "model", "revision", "settings"]
    names = scores[columns].drop_duplicates().itertuples(index=False)
    return [", ".join(filter(None, map(str, name))) for name in names]
