"""The paper's Tables 1-7: its own rows, and the measured rows, clearly told apart."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from vividface.config import Config
from vividface.evaluation.measure import bootstrap_interval
from vividface.evaluation.metrics import direction, variant
from vividface.files import atomic_path, write_json

_ARROWS = {"higher": "↑", "lower": "↓"}
_TITLES = {
    "bicubic": "degraded input (bicubic)",
    "classical": "denoise + unsharp (ffmpeg)",
    "realesrgan": "Real-ESRGAN (animevideov3)",
    "autoencoder": "autoencoder of the ground truth (ceiling)",
    "untuned": "untuned transformer",
}


@dataclass(frozen=True)
class Cell:
    """One value: its mean and, where it was measured, its 95 % interval; or the reason why it is missing."""

    value: float | None
    interval: tuple[float, float] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """A method's values; `source` is `paper` or `measured`."""

    method: str
    source: str
    benchmark: str
    clips: int | None
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """One of the paper's tables.

    Attributes:
        number: 1 to 7.
        title: as in the paper.
        columns: (heading, name of the metric's variant or of a figure of the run).
        rows: the paper's, then the measured.
        notes: printed below.
    """

    number: int
    title: str
    columns: list[tuple[str, str]]
    rows: list[Row]
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
        head = ["Method", "Source", "Clips", *self.headings()]
        lines = [f"# Table {self.number}: {self.title}", "", _pipe(head), _pipe(["---"] * len(head))]
        previous = None
        for row in self.rows:
            block = row.benchmark or row.source
            if block != previous and previous is not None:
                lines.append(_pipe([f"**measured: {row.benchmark}**", *[""] * (len(head) - 1)]))
            previous = block
            lines.append(_pipe([row.method, row.source, str(row.clips or ""), *cell_texts(self, row)]))
        lines.append("")
        lines += [f"[{number}] missing: {reason}" for reason, number in notes.items()]
        lines += [f"Note: {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def to_csv(self) -> str:
        """One row per method; per column the value, the bounds of its interval and why it is missing."""
        names = [name for _, name in self.columns]
        fields = [f"{name}{suffix}" for name in names for suffix in ("", "_low", "_high", "_missing")]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["method", "source", "benchmark", "clips", *fields])
        for row in self.rows:
            values: list[object] = []
            for cell in row.cells:
                low, high = cell.interval or ("", "")
                values += ["" if cell.value is None else repr(float(cell.value)), low, high, cell.reason]
            writer.writerow([row.method, row.source, row.benchmark, row.clips or "", *values])
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
        previous = None
        for row in self.rows:
            block = row.benchmark or row.source
            if block != previous and previous is not None:
                span = len(self.columns) + 1
                caption = rf"\multicolumn{{{span}}}{{l}}{{\emph{{measured: {_latex(row.benchmark)}}}}} \\"
                lines += [r"\midrule", caption]
            previous = block
            texts = [row.method, *cell_texts(self, row)]
            lines.append(" & ".join(_latex(text) for text in texts) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\footnotesize [{n}] missing: {_latex(reason)}" for reason, n in notes.items()]
        lines += [rf"\par\footnotesize {_latex(note)}" for note in self.notes]
        return "\n".join([*lines, r"\end{table}", ""])


def cell_texts(table: Table, row: Row) -> list[str]:
    """A row's cells as printed: value and interval, or `missing` with the footnote's number."""
    notes = table.footnotes()
    return [_text(cell, column, notes) for cell, column in zip(row.cells, table.columns, strict=True)]


def build_tables(
    metrics: pd.DataFrame, runs: dict[tuple[str, str], dict], config: Config
) -> dict[int, Table]:
    """Fill the paper's tables.

    Args:
        metrics: rows `dataset`, `method`, `clip_id`, `metric`, `value`, `reason`.
        runs: `run.json` by (dataset, method).
        config: names the benchmarks, the variants and the bootstrap.
    """
    tables = {}
    for number, spec in _paper().items():
        columns = [(head, variant(name, config.identity)) for head, name in spec["columns"].items()]
        rows = [Row(r[0], "paper", "", None, [_printed(v) for v in r[1:]]) for r in spec["rows"]]
        notes = [spec["note"]] if "note" in spec else []
        benchmarks = _benchmarks(config, spec["ground_truth"], notes)
        measured = [method for method in spec["measured"] if method in config.methods()]
        for dataset, title in benchmarks.items():
            for method in measured:
                if (dataset, method) in runs:
                    label = spec.get("labels", {}).get(method) or _title(method, config)
                    part = metrics[(metrics["dataset"] == dataset) & (metrics["method"] == method)]
                    run = runs[dataset, method]
                    cells = [_cell(part, run, name, config.evaluation.bootstrap) for _, name in columns]
                    rows.append(Row(label, "measured", title, part["clip_id"].nunique(), cells))
        absent = [method for method in spec["measured"] if method not in config.methods()]
        if absent:
            notes.append(f"Not in this configuration, so not measured: {', '.join(absent)}.")
        tables[number] = Table(number, spec["title"], columns, rows, notes)
    return tables


def write_tables(tables: dict[int, Table], directory: Path) -> None:
    """Write every table as Markdown, CSV and LaTeX to `directory/table{n}.{md,csv,tex}`."""
    for number, table in tables.items():
        forms = {"md": table.to_markdown(), "csv": table.to_csv(), "tex": table.to_latex()}
        for suffix, text in forms.items():
            with atomic_path(Path(directory) / f"table{number}.{suffix}") as temporary:
                temporary.write_text(text)


def write_summary(metrics: pd.DataFrame, directory: Path) -> None:
    """Write a method's means over clips to `directory/{method}.json`: `{dataset: {metric: mean}}`.

    Args:
        metrics: as in `build_tables`; what was not measured is left out.
        directory: folder, written atomically.
    """
    means = metrics.groupby(["method", "dataset", "metric"], as_index=False)["value"].mean().dropna()
    with atomic_path(directory) as temporary:
        temporary.mkdir()
        for method, part in means.groupby("method"):
            values: dict[str, dict[str, float]] = {}
            for row in part.itertuples():
                values.setdefault(row.dataset, {})[row.metric] = float(row.value)
            write_json(temporary / f"{method}.json", values)


def paired_difference(
    metrics: pd.DataFrame, dataset: str, method: str, baseline: str, metric: str
) -> pd.DataFrame:
    """A metric of two methods clip by clip: `clip_id`, `baseline`, `method`, `difference`."""
    part = metrics[(metrics["dataset"] == dataset) & (metrics["metric"] == metric)]
    wide = part.pivot(index="clip_id", columns="method", values="value")[[baseline, method]].dropna()
    table = pd.DataFrame({"baseline": wide[baseline], "method": wide[method]})
    return table.assign(difference=table["method"] - table["baseline"]).reset_index()


def _paper() -> dict[int, dict]:
    return dict(yaml.safe_load((Path(__file__).parent / "paper.yaml").read_text()))


def _benchmarks(config: Config, ground_truth: bool, notes: list[str]) -> dict[str, str]:
    """The benchmarks of a table by name; without a really degraded one, the synthetic ones stand in."""
    every = config.by_role("benchmark")
    fitting = {name: d for name, d in every.items() if d.degrade == ground_truth}
    if not fitting:
        notes.append(
            "No really degraded benchmark is configured; the measured rows are of clips that were degraded "
            "synthetically."
        )
    return {name: dataset.title for name, dataset in (fitting or every).items()}


def _title(method: str, config: Config) -> str:
    return _TITLES.get(method) or f"{config.variants[method].title} (ours, {config.model.preset})"


def _printed(value: float | None) -> Cell:
    return Cell(value) if value is not None else Cell(None, reason="not printed in the paper")


def _cell(part: pd.DataFrame, run: dict, name: str, resamplings: int) -> Cell:
    if name.startswith("run."):
        return _run_cell(run, name.removeprefix("run."))
    rows = part[part["metric"] == name]
    values = rows["value"].dropna().to_numpy()
    if not len(values):
        reason = rows["reason"].iloc[0] if len(rows) else f"{name} is not in evaluation.metrics"
        return Cell(None, reason=str(reason))
    return Cell(float(values.mean()), bootstrap_interval(values, resamplings))


def _run_cell(run: dict, name: str) -> Cell:
    seconds = np.array([run["seconds_per_clip"][clip] for clip in sorted(run["frames"])])
    frames = np.array([run["frames"][clip] for clip in sorted(run["frames"])])
    if name == "seconds":
        return Cell(float(seconds.mean()))
    if name == "milliseconds_per_frame":
        return Cell(float(1000 * seconds.sum() / frames.sum()))
    return Cell(float(run[name]))


def _heading(head: str, name: str) -> str:
    if name.startswith("run."):
        return f"{head} {_ARROWS['lower']}"
    return f"{head} {_ARROWS[direction(name)]} ({name})"


def _text(cell: Cell, column: tuple[str, str], notes: dict[str, int]) -> str:
    if cell.value is None:
        return f"missing [{notes[cell.reason]}]"
    digits = _digits(column[1], cell.value)
    text = f"{cell.value:.{digits}f}"
    if cell.interval:
        text += f" [{cell.interval[0]:.{digits}f}, {cell.interval[1]:.{digits}f}]"
    return text


def _digits(name: str, value: float) -> int:
    if name in ("run.steps", "run.peak_memory_mb"):
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
