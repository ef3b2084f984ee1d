"""The table of an evaluation, in its formats."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from vividface.errors import InputError
from vividface.evaluation.metrics.video import frechet_distance
from vividface.evaluation.results import results_table, write_results

FEATURES = np.random.default_rng(0).normal(size=(4, 3, 8)).astype(np.float32)


@pytest.fixture
def values():
    """Two methods on two clips: one has no value for one of them; FVD is of both clips."""
    rows = [
        ("a", "one", "psnr_rgb", 30.0, "", None, None),
        ("b", "one", "psnr_rgb", 32.0, "", None, None),
        ("a", "two", "psnr_rgb", 20.0, "", None, None),
        ("b", "two", "psnr_rgb", np.nan, "broken <b>", None, None),
        ("a", "one", "musiq", np.nan, "no weights", None, None),
        ("a", "one", "fvd_set", np.nan, "", FEATURES[0].tolist(), FEATURES[2].tolist()),
        ("b", "one", "fvd_set", np.nan, "", FEATURES[1].tolist(), FEATURES[3].tolist()),
    ]
    columns = ["clip_id", "method", "metric", "value", "reason", "features", "reference_features"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(video=table["clip_id"])


@pytest.fixture
def table(values):
    return results_table(values, title="Mine", resamplings=100)


def test_rows_are_over_the_same_clips_and_sets_have_one_value(table):
    text = table.to_markdown()
    assert text.startswith("# Mine\n\n| Method | Clips | psnr_rgb \u2191 | musiq \u2191 | fvd_set \u2193 |\n")
    assert "| one | 2 | 30.00 (n = 1) | missing [1] |" in text
    assert "| two | 2 | 20.00 (n = 1) | missing [2] | missing [3] |" in text
    assert (
        "psnr_rgb over 1 of 2 clips, the same for every method; not every method has a value for b." in text
    )
    assert "fvd_set is over 6 windows of 16 frames, of 2 clips." in text
    value = table.rows[0].cells[2].value
    assert value == pytest.approx(frechet_distance(*(FEATURES[i : i + 2].reshape(-1, 8) for i in (0, 2))))
    low, high = table.rows[0].cells[2].interval
    assert 0 <= low <= high


def test_every_format(table, values, tmp_path):
    for suffix in (".md", ".csv", ".json", ".html"):
        write_results(tmp_path / f"table{suffix}", table, values)
    assert (tmp_path / "table.md").read_text() == table.to_markdown()
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [row["psnr_rgb"] for row in rows] == ["30.0", "20.0"]
    content = json.loads((tmp_path / "table.json").read_text())
    assert content["methods"]["one"]["psnr_rgb"]["clips"] == 1
    assert {"clip_id": "b", "method": "two", "metric": "psnr_rgb", "value": None, "reason": "broken <b>"} in (
        content["clips"]
    )
    page = (tmp_path / "table.html").read_text()
    assert "<td>one</td><td>2</td><td>30.00 (n = 1)</td>" in page
    assert "<td>a</td><td>two</td>" in page
    assert "http" not in page
    with pytest.raises(InputError, match=r"table\.txt: does not end in \.md, \.csv, \.json, \.html"):
        write_results(tmp_path / "table.txt", table, values)
