"""Intervals and paired differences."""

import numpy as np
import pandas as pd
import pytest

from vividface.evaluation.statistics import bootstrap_interval, paired_difference


def test_bootstrap_interval_of_a_mean():
    assert bootstrap_interval(np.full(7, 0.25), 100) == (0.25, 0.25)
    values = np.random.default_rng(3).normal(10, 2, 50)
    low, high = bootstrap_interval(values, 2000)
    error = 1.96 * values.std() / np.sqrt(50)
    assert low == pytest.approx(values.mean() - error, abs=0.15)
    assert high == pytest.approx(values.mean() + error, abs=0.15)
    assert (low, high) == bootstrap_interval(values, 2000)
    assert (low, high) != bootstrap_interval(values, 2000, seed=1)


def test_bootstrap_is_seeded_and_holds_the_mean():
    values = pd.Series([1.0, 2.0, 3.0, 4.0, 5.0]).to_numpy()
    low, high = bootstrap_interval(values, 500)
    assert (low, high) == bootstrap_interval(values, 500)
    assert 1 < low < 3 < high < 5


def test_paired_difference():
    rows = [
        (dataset, method, clip, metric, value + 0.1 * step)
        for dataset in ("held_out", "other")
        for method, value in (("bicubic", 25.0), ("classical", 26.0), ("main", 30.0))
        for step, clip in enumerate("abc")
        for metric in ("psnr_rgb", "ssim_y")
    ]
    rows += [("held_out", "bicubic", "d", "psnr_rgb", 25.0), ("held_out", "main", "d", "psnr_rgb", np.nan)]
    metrics = pd.DataFrame(rows, columns=["dataset", "method", "clip_id", "metric", "value"])
    table = paired_difference(
        metrics, dataset="held_out", method="main", baseline="bicubic", metric="psnr_rgb"
    )
    assert list(table["clip_id"]) == ["a", "b", "c"], "only the clips that both have a value for"
    assert table["difference"].tolist() == pytest.approx([5] * 3)
