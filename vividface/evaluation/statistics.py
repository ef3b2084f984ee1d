"""Means over the same clips, intervals over videos, and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd


def comparable(metrics: pd.DataFrame) -> pd.DataFrame:
    """The values of the clips that every method has one for, so that means compare the same clips.

    The clips are those of a benchmark and metric. A method without any value for a metric there, say for want
    of weights, does not count.

    Args:
        metrics: rows `dataset`, `method`, `clip_id`, `metric`, `value`, of metrics of sets `features`, of the
            methods to compare.

    Returns:
        the rows of these clips, of methods that have values.
    """
    has_value = metrics["value"].notna()
    if "features" in metrics:
        has_value |= metrics["features"].notna()
    measured = metrics[has_value]
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
    return interval_of(lambda clips: float(values[clips].mean()), videos, resamplings=resamplings, seed=seed)


def interval_of(
    statistic: Callable[[np.ndarray], float], videos: Iterable[str], *, resamplings: int, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % percentile interval of any statistic of clips; see `bootstrap_interval`.

    Args:
        statistic: function of the indices of clips, which may repeat.
        videos: id of each clip's video.
        resamplings: number of times that the videos are drawn.
        seed: seed of the resampling.
    """
    names, video_of_clip = np.unique(np.array(list(videos), str), return_inverse=True)
    if len(names) < 2 or not resamplings:
        return None
    clips_of = [np.flatnonzero(video_of_clip == index) for index in range(len(names))]
    draws = np.random.default_rng(seed).integers(0, len(names), (resamplings, len(names)))
    drawn = [statistic(np.concatenate([clips_of[video] for video in draw])) for draw in draws]
    low, high = np.percentile(drawn, [2.5, 97.5])
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
