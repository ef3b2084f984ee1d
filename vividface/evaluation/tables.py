"""Filling the paper's Tables 1-7: its own rows, and the measured rows, clearly told apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from vividface.config import BASELINES, Config
from vividface.config.evaluation import FolderMethodConfig, PublishedMethodConfig
from vividface.evaluation.comparison import Comparison
from vividface.evaluation.methods.catalogue import configured_method
from vividface.evaluation.metrics import variant
from vividface.evaluation.notes import differences
from vividface.evaluation.paper import PaperTable, paper_tables
from vividface.evaluation.runs import Run
from vividface.evaluation.table_formats import Cell, Row, Table
from vividface.files import atomic_path, write_json, write_text


def read_results(
    metric_files: Iterable[Path | str], restored_dirs: Iterable[Path | str]
) -> tuple[pd.DataFrame, dict[tuple[str, str], Run]]:
    """The measurements and the runs of all methods.

    Args:
        metric_files: tables `results/metrics/{dataset}/{method}.parquet`.
        restored_dirs: folders `results/restored/{dataset}/{method}`.

    Returns:
        rows `dataset`, `method`, `clip_id`, `video`, `metric`, `value`, `reason`; and the runs by (dataset,
        method).
    """
    metrics = pd.concat([pd.read_parquet(path) for path in metric_files], ignore_index=True)
    folders = [Path(folder) for folder in restored_dirs]
    return metrics, {(folder.parent.name, folder.name): Run.read(folder) for folder in folders}


def build_tables(
    metrics: pd.DataFrame, runs: Mapping[tuple[str, str], Run], config: Config
) -> dict[int, Table]:
    """Fill the paper's tables.

    Args:
        metrics: rows `dataset`, `method`, `clip_id`, `video`, `metric`, `value`, `reason`.
        runs: runs by (dataset, method).
        config: the experiment, for the benchmarks, the methods and the bootstrap.

    Returns:
        the tables by their number.
    """
    filling = _Filling(metrics, runs, config)
    return {number: filling.table(number, paper) for number, paper in paper_tables().items()}


def write_tables(tables: Mapping[int, Table], directory: Path) -> None:
    """Write the tables as Markdown, CSV and LaTeX to `directory/table{n}.{md,csv,tex}`."""
    for number, table in tables.items():
        forms = {"md": table.to_markdown(), "csv": table.to_csv(), "tex": table.to_latex()}
        for suffix, text in forms.items():
            write_text(Path(directory) / f"table{number}.{suffix}", text)


def write_summary(metrics: pd.DataFrame, directory: Path) -> None:
    """Write a method's means over clips to `directory/{method}.json`: `{dataset: {metric: mean}}`.

    Args:
        metrics: rows as in `build_tables`; a mean is over the clips that every method has a value for.
        directory: folder of the files, written atomically.
    """
    with atomic_path(directory) as temporary:
        temporary.mkdir()
        summaries: dict[str, dict[str, dict[str, float]]] = {}
        for dataset, rows in metrics.groupby("dataset"):
            comparison = Comparison(str(dataset), sorted(rows["metric"].unique()), rows)
            for method in rows["method"].unique():
                values = {name: comparison.value(method, name) for name in comparison.names}
                summaries.setdefault(method, {})[str(dataset)] = {
                    name: value for name, value in values.items() if value is not None
                }
        for method, summary in summaries.items():
            write_json(temporary / f"{method}.json", summary)


class _Filling:
    """Fills tables with the measured rows.

    Args:
        metrics: rows as in `build_tables`.
        runs: runs by (dataset, method).
        config: the experiment.
    """

    def __init__(self, metrics: pd.DataFrame, runs: Mapping[tuple[str, str], Run], config: Config) -> None:
        self._metrics = metrics
        self._runs = runs
        self._config = config
        self._methods = config.methods()
        self._published = {
            name: configured_method(name, method)
            for name, method in config.evaluation.methods.items()
            if isinstance(method, PublishedMethodConfig)
        }

    def table(self, number: int, paper: PaperTable) -> Table:
        """One of the paper's tables: its own rows, then the measured ones, benchmark by benchmark."""
        identity_network = self._config.faces.identity_network
        columns = [(heading, variant(name, identity_network)) for heading, name in paper.columns.items()]
        benchmarks = self._benchmarks(needs_reference=paper.needs_reference)
        methods = [method for method in paper.measured if method in self._methods] + self._others(number)
        measured = [
            Comparison(dataset, [name for _, name in columns], self._rows(dataset, methods))
            for dataset in benchmarks
        ]
        return Table(
            number=number,
            title=paper.title,
            columns=columns,
            rows=[
                *(_paper_row(method, values) for method, values in paper.rows.items()),
                *(
                    self._measured_row(benchmark, method, label=paper.labels.get(method))
                    for benchmark in measured
                    for method in methods
                    if (benchmark.dataset, method) in self._runs
                ),
            ],
            notes=[
                *self._notes(paper, benchmarks),
                *(
                    note
                    for benchmark in measured
                    for note in benchmark.notes(self._config.datasets[benchmark.dataset].title)
                ),
                *self._timing_notes(measured, methods),
                *self._published_notes(methods),
            ],
        )

    def _others(self, number: int) -> list[str]:
        """The methods of others in a table: folders of results stand in every one."""
        methods = self._config.evaluation.methods
        return [
            name for name in methods if name not in self._published or number in self._published[name].tables
        ]

    def _rows(self, dataset: str, methods: list[str]) -> pd.DataFrame:
        of_dataset = self._metrics["dataset"] == dataset
        return self._metrics[of_dataset & self._metrics["method"].isin(methods)]

    def _benchmarks(self, *, needs_reference: bool) -> list[str]:
        """The benchmarks of a table; without a really degraded one, the synthetic ones stand in."""
        benchmarks = self._config.by_role("benchmark")
        fitting = [name for name, dataset in benchmarks.items() if dataset.has_reference == needs_reference]
        return fitting or list(benchmarks)

    def _measured_row(self, measured: Comparison, method: str, *, label: str | None) -> Row:
        run = self._runs[measured.dataset, method]
        return Row(
            method=label or self._title(method),
            source="measured",
            benchmark=self._config.datasets[measured.dataset].title,
            num_clips=None if run.missing else measured.num_clips(method),
            cells=[
                _run_cell(run, name.removeprefix("run."))
                if name.startswith("run.")
                else measured.cell(method, name, resamplings=self._config.evaluation.bootstrap)
                for name in measured.names
            ],
        )

    def _title(self, method: str) -> str:
        if method in BASELINES:
            return BASELINES[method]
        if method in self._config.evaluation.methods:
            other = self._config.evaluation.methods[method]
            return other.title if isinstance(other, FolderMethodConfig) else self._published[method].title
        return f"{self._config.variants[method].title} (ours, {self._config.model.preset})"

    def _notes(self, paper: PaperTable, benchmarks: list[str]) -> list[str]:
        notes = [paper.note] if paper.note else []
        datasets = self._config.datasets
        if all(datasets[name].has_reference != paper.needs_reference for name in benchmarks):
            notes.append(
                "No really degraded benchmark is configured; the measured rows are of clips that were "
                "degraded synthetically."
            )
        notes += differences(paper, benchmarks, self._config)
        if absent := [method for method in paper.measured if method not in self._methods]:
            notes.append(f"Not in this configuration, so not measured: {', '.join(absent)}.")
        return notes

    def _published_notes(self, methods: list[str]) -> list[str]:
        titles = [self._published[name].title for name in methods if name in self._published]
        if not titles:
            return []
        return [
            f"{', '.join(titles)}: run here from the published code; docs/methods.md says what was "
            "changed in it, and which of its faults move the figures."
        ]

    def _timing_notes(self, measured: list[Comparison], methods: list[str]) -> list[str]:
        """On what, and how, the times of a table's rows were measured."""
        runs = [
            self._runs[benchmark.dataset, method]
            for benchmark in measured
            for method in methods
            if "run.seconds" in benchmark.names and (benchmark.dataset, method) in self._runs
        ]
        return list(dict.fromkeys(f"{run.conditions}." for run in runs if run.conditions))


def _run_cell(run: Run, name: str) -> Cell:
    value = getattr(run, name)
    if value is not None:
        return Cell(value)
    of_others = "a program of others does not tell it" if run.time_of else ""
    return Cell(None, reason=run.missing or of_others or "results that others made come without it")


def _paper_row(method: str, values: list[float | None]) -> Row:
    return Row(
        method=method,
        source="paper",
        benchmark="",
        num_clips=None,
        cells=[
            Cell(value) if value is not None else Cell(None, reason="not printed in the paper")
            for value in values
        ],
    )
