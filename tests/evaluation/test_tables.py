"""Filling and writing the tables."""

import csv
import io
import json

import pandas as pd
import pytest

from vividface.evaluation.runs import Run
from vividface.evaluation.tables import build_tables, read_results, write_summary, write_tables

RUN = Run(
    method="main",
    num_steps=1,
    num_frames={"a": 10, "b": 10, "c": 10},
    timed_clip="a",
    seconds_per_run=[1.0, 2.0, 30.0],
    width=128,
    height=128,
    peak_memory_mb=512.4,
    device="a CPU",
    threads=1,
    dtype="bfloat16",
)


@pytest.fixture(scope="module")
def tables(config):
    return build_tables(metrics(config), runs(config), config)


def metrics(config):
    rows = [
        (method, clip, name, value + index + 0.1 * step, "")
        for index, method in enumerate(config.methods())
        for step, clip in enumerate(("a", "b", "c"))
        for name, value in (("psnr_rgb", 25.0), ("ids_dlib", 0.5), ("lpips_alex", 0.2))
    ]
    rows += [(m, c, "fvd_set", None, "no I3D_100% here") for m in config.methods() for c in "abc"]
    columns = ["method", "clip_id", "metric", "value", "reason"]
    return pd.DataFrame(rows, columns=columns).assign(dataset="held_out").astype({"value": float})


def runs(config):
    return {("held_out", method): RUN for method in config.methods()}


def test_the_papers_numbers(tables):
    def printed(number, method):
        row = next(r for r in tables[number].rows if r.source == "paper" and r.method == method)
        return [cell.value for cell in row.cells]

    assert printed(1, "VividFace") == [30.03, 0.8534, 0.1112, 0.9128, 3.5319, 0.8111, 0.8855, 79.14]
    assert printed(1, "SVFR") == [28.09, 0.8304, 0.1578, 0.8641, 4.0932, 0.8025, 0.8404, 103.32]
    assert printed(2, "VividFace") == [5.1987, 64.4911, 0.5678, 6.0064, 0.7665, 0.8227]
    assert printed(3, "VividFace")[:4] == [1, 7.43, 0.113, 0.912]
    assert printed(4, "p = 1")[:2] == [0.1309, 0.9025]
    assert printed(5, "latent yes, pixel no")[:2] == [0.1261, 0.9050]
    assert printed(6, "VFHQ-3K")[:2] == [0.1285, 0.9046]
    assert printed(7, "DifFace")[-1] is None
    papers = [sum(row.source == "paper" for row in tables[n].rows) for n in range(1, 8)]
    assert papers == [12, 12, 6, 3, 3, 2, 3]


def test_measured_rows_are_told_apart(tables, config):
    for table in tables.values():
        sources = [row.source for row in table.rows]
        assert sources == sorted(sources, reverse=True), "the paper's rows come first"
        assert "measured" in sources
    text = tables[1].to_markdown()
    assert "**measured: RAVDESS actor B, held out**" in text
    assert r"\midrule" + "\n" + r"\multicolumn{9}{l}{\emph{measured:" in tables[1].to_latex()


def test_means_and_missing_values(tables, config):
    main = next(r for r in tables[1].rows if r.method.startswith("VividFace (ours"))
    index = config.methods().index("main")
    assert main.cells[0].value == pytest.approx(25.1 + index)
    low, high = main.cells[0].interval
    assert low <= main.cells[0].value <= high
    assert main.cells[-1].value is None
    assert main.cells[-1].reason == "no I3D_100% here"
    assert "] missing: no I3D_100% here" in tables[1].to_markdown()
    assert r"no I3D\_100\% here" in tables[1].to_latex()
    assert main.cells[4].reason == "akd is not in evaluation.metrics"


def test_running_time(tables):
    row = next(r for r in tables[3].rows if r.source == "measured")
    assert [row.cells[i].value for i in (0, 1, 4, 5)] == [1, 2.0, 200.0, 512.4]


def test_csv_reads_back(tables):
    rows = list(csv.DictReader(io.StringIO(tables[1].to_csv())))
    assert [r["psnr_rgb"] for r in rows if r["method"] == "VividFace"] == ["30.03"]
    assert {r["source"] for r in rows} == {"paper", "measured"}


def test_three_forms_are_written(tables, tmp_path):
    write_tables(tables, tmp_path)
    assert len(list(tmp_path.iterdir())) == 21


def test_results_are_read_from_their_files(config, tmp_path):
    expected = metrics(config)
    for method in ("bicubic", "main"):
        (tmp_path / "restored/held_out" / method).mkdir(parents=True)
        RUN.write(tmp_path / "restored/held_out" / method)
        (tmp_path / "metrics/held_out").mkdir(parents=True, exist_ok=True)
        rows = expected[expected["method"] == method]
        rows.to_parquet(tmp_path / "metrics/held_out" / f"{method}.parquet")
    read, read_runs = read_results(
        sorted((tmp_path / "metrics/held_out").iterdir()), sorted((tmp_path / "restored/held_out").iterdir())
    )
    assert read_runs == {("held_out", "bicubic"): RUN, ("held_out", "main"): RUN}
    assert set(read["method"]) == {"bicubic", "main"}
    assert len(read) == expected["method"].isin(["bicubic", "main"]).sum()


def test_the_summary_holds_the_means_of_what_was_measured(config, tmp_path):
    write_summary(metrics(config), tmp_path / "summary")
    summary = json.loads((tmp_path / "summary/bicubic.json").read_text())
    assert list(summary) == ["held_out"]
    assert summary["held_out"] == pytest.approx({"psnr_rgb": 25.1, "ids_dlib": 0.6, "lpips_alex": 0.3})


def test_table_3_prints_the_median_time_and_how_it_was_measured(tables):
    table = tables[3]
    row = next(row for row in table.rows if row.source == "measured" and "ours" in row.method)
    values = dict(zip([name for _, name in table.columns], row.cells, strict=True))
    assert values["run.seconds"].value == 2
    assert values["run.milliseconds_per_frame"].value == 200
    assert (
        "Time: the median of 3 after a warm-up, on a clip of 10 frames of 128x128; a CPU, 1 thread, weights "
        "in bfloat16."
    ) in table.notes
