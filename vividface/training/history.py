"""The course of a training: its curve, its validations, and the losses that a new one is compared with."""

from __future__ import annotations

import csv
import logging
import time
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Any

from vividface.files import atomic_path
from vividface.training.base import StageConfig
from vividface.training.job import TrainingPaths

logger = logging.getLogger(__name__)

# Number of recent steps whose mean loss a new loss is compared with, and the least number of them.
_RECENT, _ENOUGH = 100, 20

Row = dict[str, float]


class History:
    """What is measured while a model is trained.

    Args:
        config: hyper-parameters: the number of steps and the batch size, for the time that is left.
    """

    def __init__(self, config: StageConfig) -> None:
        self._config = config
        self._curve: list[Row] = []
        self._validations: list[Row] = []
        self._pending: list[Row] = []
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._first_step, self._seconds_before = 0, 0.0
        self._started = time.monotonic()

    def add(self, terms: Row) -> None:
        """Add a step: the means of the loss's terms and the gradient's norm."""
        self._pending.append(terms)
        self._recent.append(terms["loss"])

    def usual_loss(self) -> float | None:
        """The mean loss of the recent steps; None while there are too few of them."""
        if len(self._recent) < _ENOUGH:
            return None
        return sum(self._recent) / len(self._recent)

    def report(self, step: int, learning_rate: float) -> Row:
        """Log the means over the steps since the last report, add them to the curve and return them."""
        pending, self._pending = self._pending, []
        means = {name: sum(terms[name] for terms in pending) / len(pending) for name in pending[0]}
        seconds = round(self._seconds(), 2)
        self._curve.append({"step": step, **means, "learning_rate": learning_rate, "seconds": seconds})
        batch_size, iterations = self._config.batch_size, self._config.iterations
        speed = (step - self._first_step) * batch_size / (time.monotonic() - self._started)
        logger.info(
            "step %d of %d, %s, learning rate %.2e, %.2f samples/s, %s left",
            step,
            iterations,
            ", ".join(f"{name} {value:.5f}" for name, value in means.items()),
            learning_rate,
            speed,
            timedelta(seconds=round((iterations - step) * batch_size / speed)),
        )
        return means | {"learning_rate": learning_rate, "samples_per_second": speed}

    def add_validation(self, step: int, measures: Row) -> None:
        """Log and keep the measures of a validation, if there are any."""
        if measures:
            self._validations.append({"step": step, **measures})
            listed = ", ".join(f"{name} {value:.4f}" for name, value in measures.items())
            logger.info("step %d, validation: %s", step, listed)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` resumes from, as values of JSON."""
        return {
            "rows": self._curve,
            "validations": self._validations,
            "pending": self._pending,
            "recent": list(self._recent),
            "seconds": self._seconds(),
        }

    def load_state_dict(self, values: dict[str, Any], step: int) -> None:
        """Resume at a step; keys of `values` that are not of `state_dict` are ignored."""
        self._curve, self._validations = values["rows"], values["validations"]
        self._pending, self._seconds_before = values["pending"], values["seconds"]
        self._recent.extend(values["recent"])
        self._first_step = step

    def write(self, paths: TrainingPaths) -> None:
        """Write the curve and the validations as CSV files."""
        _write_csv(paths.curve, self._curve, ["step", "loss", "learning_rate", "seconds"])
        _write_csv(paths.validation, self._validations, ["step"])

    def _seconds(self) -> float:
        """The time that the training took so far, that of earlier runs included."""
        return self._seconds_before + time.monotonic() - self._started


def _write_csv(path: Path, rows: list[Row], columns: list[str]) -> None:
    """Write rows, atomically: `columns`, then the others that the rows have."""
    others = sorted(set(rows[0]) - set(columns)) if rows else []
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*columns, *others])
        writer.writeheader()
        writer.writerows(rows)
