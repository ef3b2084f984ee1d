"""Means over the same clips, intervals over videos, and paired differences."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd


def comparable(metrics: pd.DataFrame) -> pd.DataFrame:
    """The values of the clips that every method has one for, so that means compare the same clips.

    The clips are those of a benchmark and metric. A method without any value for a metric there, say for want
    of weights, does not count.

    Args:
        metrics: rows `dataset`, `method`, `clip_id`, `metric`, `value` of the methods to compare.

    Returns:
        the rows of these clips, of methods that have values.
    """
    measured = metrics.dropna(subset="value")
    num_methods = measured.groupby(["dataset", "metric"])["method"].transform("nunique")
    num_with_value = measured.groupby(["dataset", "metric", "clip_id"])["method"].transform("nunique")
    return measured[num_with_value == num_methods]


def bootstrap_interval(
    values: np.ndarray, videos: Iterable[str], *, resamplings: int, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % percentile interval of a mean over clips, by the cluster bootstrap.

    Videos are drawn again with replacement, each with all its clips: clips of one video are not independent
    (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).

    Args:
        values: values (N,), one per clip.
        videos: id of each clip's video, N of them.
        resamplings: number of times that the videos are drawn.
        seed: seed of the resampling.

    Returns:
        lower and upper bound; None where all clips are of one video, whose mean's spread nothing tells.
    """
    names, video_of_clip = np.unique(np.array(list(videos), str), return_inverse=True)
    if len(names) < 2:
        return None
    sums, counts = np.bincount(video_of_clip, weights=values), np.bincount(video_of_clip)
    draws = np.random.default_rng(seed).integers(0, len(names), (resamplings, len(names)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def paired_difference(
    metrics: pd.DataFrame, *, dataset: str, method: str, baseline: str, metric: str
) -> pd.DataFrame:
    """A metric of two methods clip by clip.

    Args:
        metrics: rows `dataset`, `method`, `clip_id`, `video`, `metric`, `value`.
        dataset: benchmark of the comparison.
        method: first method.
        baseline: method that it is compared with.
        metric: name of the metric's variant.

    Returns:
        `clip_id`, `video`, `baseline`, `method`, `difference`, of the clips that both have a value for.
    """
    part = metrics[(metrics["dataset"] == dataset) & (metrics["metric"] == metric)]
    wide = part.pivot(index=["clip_id", "video"], columns="method", values="value")[[baseline, method]]
    wide = wide.dropna()
    table = pd.DataFrame({"baseline": wide[baseline], "method": wide[method]})
    return table.assign(difference=table["method"] - table["baseline"]).reset_index()
