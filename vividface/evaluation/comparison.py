"""Methods beside each other on one benchmark: their means over the same clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from vividface.evaluation.metrics import METRICS, Metric, NotMeasurableError, SetMetric
from vividface.evaluation.statistics import bootstrap_interval, comparable, interval_of
from vividface.evaluation.table_formats import Cell

# Clips that a note names.
_LISTED = 5
# A distance of sets takes far longer than a mean.
_MAX_SET_RESAMPLINGS = 200


class Comparison:
    """What methods have in common on one benchmark.

    Args:
        dataset: the benchmark.
        names: names of the metrics that are compared.
        rows: rows `dataset`, `method`, `clip_id`, `video`, `metric`, `value`, `reason` and, of metrics of
            sets, `features` and `reference_features`, of the methods.
    """

    def __init__(self, dataset: str, names: Sequence[str], rows: pd.DataFrame) -> None:
        self.dataset, self.names = dataset, list(names)
        self._rows, self._comparable = rows, comparable(rows)

    def num_clips(self, method: str | None = None) -> int:
        """The number of clips of a method, or of all."""
        rows = self._rows if method is None else self._rows[self._rows["method"] == method]
        return int(rows["clip_id"].nunique())

    def value(self, method: str, name: str) -> float | None:
        """A method's mean of a metric, or its value of a metric of sets; None where it has none."""
        return self.cell(method, name, resamplings=0).value

    def cell(self, method: str, name: str, *, resamplings: int) -> Cell:
        """A method's mean of a metric, or its value of a metric of sets, with its interval over videos.

        Args:
            method: the method.
            name: name of the metric's variant.
            resamplings: number of times that the videos are drawn again, 0 for no interval; a metric of sets
                takes at most 200.
        """
        rows = self._of_metric(name)
        rows = rows[rows["method"] == method]
        if rows.empty:
            return Cell(None, reason=self._reason(method, name))
        metric = METRICS.get(name, Metric)
        if issubclass(metric, SetMetric):
            return _cell_of_sets(metric, rows, min(resamplings, _MAX_SET_RESAMPLINGS))
        values = rows["value"].to_numpy()
        interval = bootstrap_interval(values, rows["video"], resamplings=resamplings)
        return Cell(float(values.mean()), interval, num_clips=len(values))

    def notes(self, title: str) -> list[str]:
        """What the means are over, where that is not all clips, or not several videos.

        Args:
            title: name of the benchmark.
        """
        notes = []
        for clips, names in self._left_out().items():
            listed = ", ".join(clips[:_LISTED])
            if len(clips) > _LISTED:
                listed += f" and {len(clips) - _LISTED} more"
            total = self.num_clips()
            notes.append(
                f"{title}: {', '.join(names)} over {total - len(clips)} of {total} clips, the same for "
                f"every method; not every method has a value for {listed}."
            )
        if names := [name for name in self.names if self._of_metric(name)["video"].nunique() == 1]:
            notes.append(f"{title}: no interval for {', '.join(names)}: all clips are of one video.")
        for name in self.names:
            rows, metric = self._of_metric(name), METRICS.get(name, Metric)
            if issubclass(metric, SetMetric) and len(rows):
                of_one = rows[rows["method"] == rows["method"].iloc[0]]
                count = of_one["reference_features"].map(len).sum()
                notes.append(f"{title}: {name} is over {count} {metric.unit}, of {len(of_one)} clips.")
        return notes

    def _of_metric(self, name: str) -> pd.DataFrame:
        """The rows of the clips that all methods have a value of a metric for."""
        return self._comparable[self._comparable["metric"] == name]

    def _reason(self, method: str, name: str) -> str:
        """Why a method has no mean of a metric."""
        rows = self._rows[(self._rows["method"] == method) & (self._rows["metric"] == name)]
        if rows.empty:
            return f"{name} is not in evaluation.metrics"
        if (rows["reason"] == "").any():
            return f"no clip has a value of {name} for every method"
        return str(rows["reason"].iloc[0])

    def _left_out(self) -> dict[tuple[str, ...], list[str]]:
        """The metrics without some clips, by the ids of these clips."""
        clips = set(self._rows["clip_id"])
        metrics: dict[tuple[str, ...], list[str]] = {}
        for name in self.names:
            kept = set(self._of_metric(name)["clip_id"])
            if kept and kept != clips:
                metrics.setdefault(tuple(sorted(clips - kept)), []).append(name)
        return metrics


def _cell_of_sets(metric: type[SetMetric], rows: pd.DataFrame, resamplings: int) -> Cell:
    clips = [
        tuple(np.array([list(row) for row in features], np.float32) for features in pair)
        for pair in zip(rows["features"], rows["reference_features"], strict=True)
    ]

    def distance(chosen: np.ndarray) -> float:
        restored, true = (np.concatenate([clips[index][side] for index in chosen]) for side in (0, 1))
        return metric.distance(restored, true)

    try:
        value = distance(np.arange(len(clips)))
    except NotMeasurableError as error:
        return Cell(None, reason=str(error))
    interval = interval_of(distance, rows["video"], resamplings=resamplings)
    return Cell(value, interval, num_clips=len(clips))
