"""The table of an evaluation, as Markdown, CSV, JSON or a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from vividface.errors import InputError
from vividface.evaluation.comparison import Comparison
from vividface.evaluation.pages import render_page
from vividface.evaluation.table_formats import Row, Table, cell_texts
from vividface.files import write_text


def results_table(values: pd.DataFrame, *, title: str, resamplings: int = 1000) -> Table:
    """A row per method and a column per metric, over the clips that all methods have a value for.

    Args:
        values: table of `evaluate`.
        title: title of the table.
        resamplings: number of times that the clips are drawn again for the 95 % intervals.
    """
    names = list(values["metric"].unique())
    comparison = Comparison("", names, values.assign(dataset=""))
    return Table(
        title=title,
        columns=[("", name) for name in names],
        rows=[
            Row(
                method=method,
                source="measured",
                benchmark="",
                num_clips=comparison.num_clips(method),
                cells=[comparison.cell(method, name, resamplings=resamplings) for name in names],
            )
            for method in values["method"].unique()
        ],
        notes=[
            *comparison.notes(title),
            f"vividface {version('vividface')}; docs/metrics.md defines the metrics.",
        ],
    )


def write_results(path: Path, table: Table, values: pd.DataFrame) -> None:
    """Write the table of an evaluation in the format of a file's suffix.

    Args:
        path: file to write, `.md`, `.csv`, `.json` (with the values of every clip) or `.html` (too).
        table: table of `results_table`.
        values: table of `evaluate`.

    Raises:
        InputError: the suffix is another.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise InputError(f"{path}: does not end in {', '.join(_WRITERS)}")
    write_text(path, write(table, values))


def _to_json(table: Table, values: pd.DataFrame) -> str:
    return json.dumps({**_means(table), "clips": _per_clip(values)}, indent=2, allow_nan=False) + "\n"


def _means(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "methods": {
            row.method: {
                name: {
                    "value": cell.value,
                    "interval": cell.interval,
                    "clips": cell.num_clips,
                    "reason": cell.reason,
                }
                for (_, name), cell in zip(table.columns, row.cells, strict=True)
            }
            for row in table.rows
        },
        "notes": table.notes,
    }


def _per_clip(values: pd.DataFrame) -> list[dict[str, Any]]:
    rows = values[["clip_id", "method", "metric", "value", "reason"]].to_dict("records")
    return [
        {str(key): None if key == "value" and pd.isna(value) else value for key, value in row.items()}
        for row in rows
    ]


def _to_html(table: Table, values: pd.DataFrame) -> str:
    clips = values.pivot_table(
        index=["clip_id", "method"], columns="metric", values="value", sort=False, dropna=False
    )
    return render_page(
        "results.html.j2",
        table=table,
        rows=[(row.method, row.num_clips, cell_texts(table, row)) for row in table.rows],
        footnotes=table.footnotes(),
        metrics=list(clips.columns),
        clips=[
            (clip, method, ["" if pd.isna(value) else f"{value:.4f}" for value in row])
            for (clip, method), row in zip(clips.index, clips.to_numpy(), strict=True)
        ],
    )


_WRITERS: dict[str, Callable[[Table, pd.DataFrame], str]] = {
    ".md": lambda table, _: table.to_markdown(),
    ".csv": lambda table, _: table.to_csv(),
    ".json": _to_json,
    ".html": _to_html,
}
