"""A page that shows what the judge saw, said and decided, so that a person can check it; opens offline."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
import pandas as pd

from vividface.config.filtering import SelectionConfig
from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.filtering.rubric import Rubric
from vividface.filtering.selection import threshold_of
from vividface.video import iterate_frames, probe

_FRAMES, _SIDE = 4, 128
# A page of more pictures than this is slow to open: those whose scores are nearest the threshold have them.
_PICTURES = 600


def write_filtering_page(
    scores: pd.DataFrame,
    decisions: pd.DataFrame,
    folders: dict[tuple[str, str], Path],
    config: SelectionConfig,
    rubric: Rubric,
    output: Path,
) -> Path:
    """Render the page, one sortable row per clip.

    Args:
        scores: of `score_shard`.
        decisions: of `decide`.
        folders: of the clips, by dataset and shard.
        config: the selection.
        rubric: by which was scored.
        output: the HTML file.
    """
    threshold = threshold_of(config, rubric)
    table = decisions.merge(scores.drop(columns=["score", "shard", "judge"]), on="clip_id", validate="1:1")
    middle = threshold if threshold is not None else table["score"].median()
    nearest = set((table["score"] - middle).abs().sort_values(na_position="first").index[:_PICTURES])
    rows = []
    for index, row in enumerate(table.to_dict("records")):
        video = folders[row["dataset"], row["shard"]] / f"{row['clip_id']}.mkv"
        rows.append(_row(row, rubric, _strip(video) if index in nearest else ""))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("filtering.html.j2").render(
        rows=rows,
        rubric=rubric,
        judges=_judges(scores),
        selected=int(decisions["selected"].sum()),
        threshold=threshold,
        config=config,
    )
    with atomic_path(output) as temporary:
        temporary.write_text(page)
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
    """Some frames of a clip side by side, a JPEG in base 64; empty if none can be read."""
    try:
        last = probe(video).frames - 1
        wanted = set(np.linspace(0, last, _FRAMES).round().astype(int).tolist())
        frames = [
            cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
            for index, frame in enumerate(iterate_frames(video))
            if index in wanted
        ]
    except InputError:
        return ""
    image = cv2.cvtColor(np.hstack(frames), cv2.COLOR_RGB2BGR)
    return base64.b64encode(bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])).decode()


def _judges(scores: pd.DataFrame) -> list[str]:
    columns = ["judge", "model", "revision", "settings"]
    names = scores[columns].drop_duplicates().itertuples(index=False)
    return [", ".join(filter(None, map(str, name))) for name in names]
