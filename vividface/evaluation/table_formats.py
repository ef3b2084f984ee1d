"""Tables as data, and as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from itertools import groupby

from vividface.evaluation.metrics import direction

_ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class Cell:
    """One value.

    Attributes:
        value: mean over clips; None where it is missing.
        interval: 95 % interval, where it was measured on several videos.
        num_clips: number of clips that the mean is over, where a metric was measured.
        reason: reason why it is missing, or empty.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    num_clips: int | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method's values.

    Attributes:
        method: title of the method.
        source: `paper` or `measured`.
        benchmark: title of the benchmark; empty for the paper's.
        num_clips: number of clips, where it was measured.
        cells: values, one per column.
    """

    method: str
    source: str
    benchmark: str
    num_clips: int | None
    cells: list[Cell]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One of the paper's tables, or a table of anybody's results.

    Attributes:
        title: title, in the paper or as given.
        columns: pairs of a heading and the name of a metric's variant, or `run.NAME` for a figure of the run;
            an empty heading stands for the metric's name.
        rows: the paper's rows, then the measured.
        number: number in the paper, 1 to 7; None for a table of anybody's results, which are all measured.
        notes: sentences below the table.
    """

    title: str
    columns: list[tuple[str, str]]
    rows: list[Row]
    number: int | None = None
    notes: list[str] = field(default_factory=list)

    def footnotes(self) -> dict[str, int]:
        """The reasons for missing values, numbered in order of appearance."""
        reasons = [cell.reason for row in self.rows for cell in row.cells if cell.reason]
        return {reason: number for number, reason in enumerate(dict.fromkeys(reasons), 1)}

    def headings(self) -> list[str]:
        """Column heads with their direction and, for metrics, the variant's name."""
        return [_heading(*column) for column in self.columns]

    def to_markdown(self) -> str:
        """GitHub Markdown: the paper's rows and the measured rows as two blocks of one table."""
        notes = self.footnotes()
        source = ["Source"] if self.number else []
        head = ["Method", *source, "Clips", *self.headings()]
        title = f"Table {self.number}: {self.title}" if self.number else self.title
        lines = [f"# {title}", "", _pipe(head), _pipe(["---"] * len(head))]
        for benchmark, rows in self._blocks():
            if benchmark:
                lines.append(_pipe([f"**measured: {benchmark}**", *[""] * (len(head) - 1)]))
            for row in rows:
                start = [row.method, *([row.source] if self.number else []), str(row.num_clips or "")]
                lines.append(_pipe([*start, *cell_texts(self, row)]))
        lines.append("")
        lines += [f"[{number}] missing: {reason}" for reason, number in notes.items()]
        lines += [f"Note: {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def to_csv(self) -> str:
        """One row per method; per column the value, its number of clips, its interval, why it is missing."""
        names = [name for _, name in self.columns]
        suffixes = ("", "_clips", "_low", "_high", "_missing")
        fields = [f"{name}{suffix}" for name in names for suffix in suffixes]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["method", "source", "benchmark", "clips", *fields])
        for row in self.rows:
            values: list[object] = []
            for cell in row.cells:
                low, high = cell.interval or ("", "")
                value = "" if cell.value is None else repr(float(cell.value))
                values += [value, cell.num_clips or "", low, high, cell.reason]
            writer.writerow([row.method, row.source, row.benchmark, row.num_clips or "", *values])
        return text.getvalue()

    def to_latex(self) -> str:
        """A booktabs table; a rule stands between the paper's rows and the measured ones."""
        notes = self.footnotes()
        head = " & ".join(_latex(text) for text in ["Method", *self.headings()])
        lines = [
            r"\begin{table}[t]",
            r"\centering",
            rf"\caption{{{_latex(self.title)}.}}",
            rf"\begin{{tabular}}{{l{'c' * len(self.columns)}}}",
            r"\toprule",
            rf"{head} \\",
            r"\midrule",
        ]
        span = len(self.columns) + 1
        for benchmark, rows in self._blocks():
            if benchmark:
                caption = rf"\multicolumn{{{span}}}{{l}}{{\emph{{measured: {_latex(benchmark)}}}}} \\"
                lines += [r"\midrule", caption]
            for row in rows:
                texts = [row.method, *cell_texts(self, row)]
                lines.append(" & ".join(_latex(text) for text in texts) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\footnotesize [{n}] missing: {_latex(reason)}" for reason, n in notes.items()]
        lines += [rf"\par\footnotesize {_latex(note)}" for note in self.notes]
        return "\n".join([*lines, r"\end{table}", ""])

    def _blocks(self) -> list[tuple[str | None, list[Row]]]:
        """Consecutive rows of one benchmark, with its title; None for the paper's."""
        blocks = groupby(self.rows, key=lambda row: row.benchmark if row.source == "measured" else None)
        return [(benchmark, list(rows)) for benchmark, rows in blocks]


def cell_texts(table: Table, row: Row) -> list[str]:
    """A row's cells as printed: value, interval and, where not all clips count, how many do; or `missing`."""
    notes = table.footnotes()
    return [
        _text(cell, column, notes, num_clips=row.num_clips)
        for cell, column in zip(row.cells, table.columns, strict=True)
    ]


def _heading(head: str, name: str) -> str:
    if name.startswith("run."):
        return f"{head} {_ARROWS['lower']}"
    arrow = _ARROWS[direction(name)]
    return f"{head} {arrow} ({name})" if head else f"{name} {arrow}"


def _text(cell: Cell, column: tuple[str, str], notes: dict[str, int], *, num_clips: int | None) -> str:
    if cell.value is None:
        return f"missing [{notes[cell.reason]}]"
    digits = _digits(column[1])
    text = _rounded(cell.value, digits)
    if cell.interval:
        low, high = (_rounded(bound, digits) for bound in cell.interval)
        text += f" [{low}, {high}]"
    if cell.num_clips is not None and cell.num_clips != num_clips:
        text += f" (n = {cell.num_clips})"
    return text


def _rounded(value: float, digits: int) -> str:
    # Adding 0 makes of a rounded -0 a 0.
    return f"{round(value, digits) + 0:.{digits}f}"


def _digits(name: str) -> int:
    if name in ("run.num_steps", "run.peak_memory_mb"):
        return 0
    return 2 if name.startswith(("psnr", "fvd", "run.")) else 4


def _pipe(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _latex(text: str) -> str:
    for plain, escaped in (
        ("\\", r"\textbackslash "),
        ("&", r"\&"),
        ("%", r"\%"),
        ("_", r"\_"),
        ("#", r"\#"),
        ("↑", r"$\uparrow$"),
        ("↓", r"$\downarrow$"),
        ("~", r"\textasciitilde "),
    ):
        text = text.replace(plain, escaped)
    return text
