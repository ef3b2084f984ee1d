"""Intervals and paired differences over clips."""

from __future__ import annotations

import numpy as np
import pandas as pd


def bootstrap_interval(values: np.ndarray, resamplings: int, *, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean over clips.

    Args:
        values: values (N,), one per clip.
        resamplings: number of times that the clips are drawn again, with replacement.
        seed: seed of the resampling.
    """
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(values), (resamplings, len(values)))
    low, high = np.percentile(np.asarray(values)[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def paired_difference(
    metrics: pd.DataFrame, *, dataset: str, method: str, baseline: str, metric: str
) -> pd.DataFrame:
    """A metric of two methods clip by clip.

    Args:
        metrics: rows `dataset`, `method`, `clip_id`, `metric`, `value`.
        dataset: benchmark of the comparison.
        method: first method.
        baseline: method that it is compared with.
        metric: name of the metric's variant.

    Returns:
        `clip_id`, `baseline`, `method`, `difference`, of the clips that both have a value for.
    """
    part = metrics[(metrics["dataset"] == dataset) & (metrics["metric"] == metric)]
    wide = part.pivot(index="clip_id", columns="method", values="value")[[baseline, method]].dropna()
    table = pd.DataFrame({"baseline": wide[baseline], "method": wide[method]})
    return table.assign(difference=table["method"] - table["baseline"]).reset_index()
