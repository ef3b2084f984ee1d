"""Means over the same clips, intervals over videos, and paired differences."""

import random

import numpy as np
import pandas as pd
import pytest

from vividface.evaluation.statistics import bootstrap_interval, comparable, paired_difference


def test_interval_of_a_mean_of_independent_videos():
    names = [f"v{index}" for index in range(50)]
    assert bootstrap_interval(np.full(50, 0.25), names, resamplings=100) == (0.25, 0.25)
    values = np.random.default_rng(3).normal(10, 2, 50)
    low, high = bootstrap_interval(values, names, resamplings=2000)
    error = 1.96 * values.std() / np.sqrt(50)
    assert low == pytest.approx(values.mean() - error, abs=0.15)
    assert high == pytest.approx(values.mean() + error, abs=0.15)
    assert (low, high) == bootstrap_interval(values, names, resamplings=2000)
    assert (low, high) != bootstrap_interval(values, names, resamplings=2000, seed=1)


def naive_interval(values, videos, resamplings):
    """Draw videos one by one, take all their clips, and sort the means."""
    generator = random.Random(5)
    clips_of = {video: [v for v, w in zip(values, videos, strict=True) if w == video] for video in videos}
    means = []
    for _ in range(resamplings):
        drawn = [value for _ in clips_of for value in clips_of[generator.choice(list(clips_of))]]
        means.append(sum(drawn) / len(drawn))
    means.sort()
    return means[round(0.025 * resamplings)], means[round(0.975 * resamplings) - 1]


def test_videos_are_drawn_with_all_their_clips():
    generator = np.random.default_rng(1)
    videos = [f"v{index}" for index in range(12) for _ in range(1 + index % 5)]
    level = {video: generator.normal(25, 3) for video in videos}
    values = np.array([level[video] for video in videos]) + generator.normal(0, 0.3, len(videos))
    low, high = bootstrap_interval(values, videos, resamplings=4000)
    naive_low, naive_high = naive_interval(values, videos, 4000)
    width = naive_high - naive_low
    assert low == pytest.approx(naive_low, abs=0.06 * width)
    assert high == pytest.approx(naive_high, abs=0.06 * width)
    clips = [str(index) for index in range(len(videos))]
    as_if_independent = np.ptp(bootstrap_interval(values, clips, resamplings=4000))
    assert high - low > 1.3 * as_if_independent, "clips of one video are alike"


def test_two_videos_give_their_own_means_as_bounds():
    values, videos = np.array([1.0, 2.0, 3.0, 10.0]), ["a", "a", "a", "b"]
    assert bootstrap_interval(values, videos, resamplings=500) == (2.0, 10.0)


def test_one_video_has_no_interval():
    assert bootstrap_interval(np.array([1.0, 2.0, 3.0]), ["a"] * 3, resamplings=500) is None


def rows_of(values):
    """Rows of values by (dataset, method, metric), clip by clip."""
    rows = [
        (*names, clip, value)
        for names, of_clips in values.items()
        for clip, value in zip("abc", of_clips, strict=True)
    ]
    return pd.DataFrame(rows, columns=["dataset", "method", "metric", "clip_id", "value"])


def test_means_are_over_the_clips_that_every_method_has():
    metrics = rows_of(
        {
            ("one", "good", "ids"): [0.9, 0.8, 0.7],
            ("one", "bad", "ids"): [0.5, np.nan, 0.3],
            ("one", "good", "psnr"): [30, 31, 32],
            ("one", "bad", "psnr"): [20, 21, 22],
            ("two", "good", "ids"): [0.9, 0.8, 0.7],
            ("two", "bad", "ids"): [0.5, 0.4, 0.3],
            # No weights: the other method's clips stay.
            ("one", "good", "niqe"): [5, 6, 7],
            ("one", "bad", "niqe"): [np.nan] * 3,
            # No clip in common.
            ("two", "good", "akd"): [1, np.nan, np.nan],
            ("two", "bad", "akd"): [np.nan, 2, 3],
        }
    )
    clips = comparable(metrics).groupby(["dataset", "metric", "method"])["clip_id"].agg("".join).to_dict()
    assert clips == {
        ("one", "ids", "good"): "ac",
        ("one", "ids", "bad"): "ac",
        ("one", "psnr", "good"): "abc",
        ("one", "psnr", "bad"): "abc",
        ("two", "ids", "good"): "abc",
        ("two", "ids", "bad"): "abc",
        ("one", "niqe", "good"): "abc",
    }
    assert comparable(metrics.iloc[:0]).empty


def test_paired_difference():
    rows = [
        (dataset, method, clip, "video", metric, value + 0.1 * step)
        for dataset in ("held_out", "other")
        for method, value in (("bicubic", 25.0), ("classical", 26.0), ("main", 30.0))
        for step, clip in enumerate("abc")
        for metric in ("psnr_rgb", "ssim_y")
    ]
    rows += [
        ("held_out", "bicubic", "d", "video", "psnr_rgb", 25.0),
        ("held_out", "main", "d", "video", "psnr_rgb", np.nan),
    ]
    metrics = pd.DataFrame(rows, columns=["dataset", "method", "clip_id", "video", "metric", "value"])
    table = paired_difference(
        metrics, dataset="held_out", method="main", baseline="bicubic", metric="psnr_rgb"
    )
    assert list(table["clip_id"]) == ["a", "b", "c"], "only the clips that both have a value for"
    assert list(table["video"]) == ["video"] * 3
    assert table["difference"].tolist() == pytest.approx([5] * 3)
