"""The paper's Tables 1-7 as printed, from paper.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One of the paper's tables, and the methods that are measured beside its own.

    Attributes:
        title: title of the table.
        columns: name of a metric, or `run.NAME` for an attribute of a `Run`, by heading.
        needs_reference: whether its benchmarks have a ground truth.
        measured: names of the measured methods, in their order.
        rows: the paper's values, one per column, by the method's title; None where none is printed.
        labels: titles of measured methods that differ from their usual ones.
        note: sentence below the table.
    """

    title: str
    columns: dict[str, str]
    needs_reference: bool
    measured: list[str]
    rows: dict[str, list[float | None]]
    labels: dict[str, str] = field(default_factory=dict)
    note: str = ""

    def values(self, *headings: str) -> dict[str, tuple[float, ...]]:
        """The paper's values in some columns, by method; without the methods that lack one."""
        indices = [list(self.columns).index(heading) for heading in headings]
        chosen = {method: [values[index] for index in indices] for method, values in self.rows.items()}
        return {
            method: tuple(value for value in values if value is not None)
            for method, values in chosen.items()
            if None not in values
        }


@cache
def paper_tables() -> dict[int, PaperTable]:
    """The tables by their number."""
    tables = yaml.safe_load((Path(__file__).parent / "paper.yaml").read_text())
    return {number: PaperTable(**table) for number, table in tables.items()}
