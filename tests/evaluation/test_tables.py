"""Filling and writing the tables."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vividface.config import BASELINES
from vividface.config.evaluation import FolderMethodConfig, PublishedMethodConfig
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
    table = pd.DataFrame(rows, columns=columns).assign(dataset="held_out").astype({"value": float})
    return table.assign(video=table["clip_id"].map({"a": "first", "b": "first", "c": "second"}))


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
    measured = next(r for r in rows if r["source"] == "measured")
    assert (measured["clips"], measured["psnr_rgb_clips"], measured["fvd_set_clips"]) == ("3", "3", "")


def without(table, method, metric, clips, reason="no face is found in the clip"):
    """A table of metrics in which a method has no values of a metric for some clips."""
    chosen = (table["method"] == method) & (table["metric"] == metric) & table["clip_id"].isin(clips)
    return table.assign(value=table["value"].mask(chosen), reason=table["reason"].mask(chosen, reason))


def measured_rows(table, config):
    titles = {**BASELINES, "main": "VividFace (ours, nano)"}
    rows = {row.method: row for row in table.rows if row.source == "measured"}
    return {method: rows[title] for method, title in titles.items() if title in rows}


def test_rows_are_over_the_clips_that_every_method_has(config):
    """A method without a value for a clip does not look better for it."""
    gap = without(metrics(config), "main", "ids_dlib", ["a"])
    table = build_tables(gap, runs(config), config)[1]
    rows = measured_rows(table, config)
    assert set(rows) >= {"bicubic", "autoencoder", "main"}
    for method, row in rows.items():
        psnr, ids = row.cells[0], row.cells[3]
        assert (psnr.num_clips, ids.num_clips, row.num_clips) == (3, 2, 3)
        assert ids.value == pytest.approx(0.65 + config.methods().index(method)), "the mean of b and c"
    text = table.to_markdown()
    assert re.search(r"\| 0\.6500 \[0\.6000, 0\.7000\] \(n = 2\) \|", text)
    assert "(n = 3)" not in text
    assert "(n = 2)" in table.to_latex()
    assert (
        "Note: RAVDESS actor B, held out: ids_dlib over 2 of 3 clips, the same for every method; not every "
        "method has a value for a."
    ) in text
    csv_rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert {r["ids_dlib_clips"] for r in csv_rows if r["source"] == "measured"} == {"2"}


def test_a_method_without_any_value_leaves_the_others_theirs(config):
    gap = without(metrics(config), "main", "ids_dlib", ["a", "b", "c"], "no weights")
    table = build_tables(gap, runs(config), config)[1]
    rows = measured_rows(table, config)
    assert rows["main"].cells[3].value is None
    assert rows["main"].cells[3].reason == "no weights"
    assert rows["bicubic"].cells[3].num_clips == 3
    assert "not every method" not in table.to_markdown()


def test_methods_without_a_clip_in_common_have_no_mean(config):
    gap = without(metrics(config), "main", "ids_dlib", ["a"])
    gap = without(gap, "bicubic", "ids_dlib", ["b", "c"])
    rows = measured_rows(build_tables(gap, runs(config), config)[1], config)
    assert {row.cells[3].reason for row in rows.values()} == {
        "no clip has a value of ids_dlib for every method"
    }


def test_other_tables_methods_do_not_matter(config):
    """Table 3 has no autoencoder."""
    gap = without(metrics(config), "autoencoder", "ids_dlib", ["a"])
    tables = build_tables(gap, runs(config), config)
    assert {row.cells[3].num_clips for row in tables[1].rows if row.source == "measured"} == {2}
    assert {row.cells[3].num_clips for row in tables[3].rows if row.source == "measured"} == {3}


def test_one_video_has_no_interval_and_a_note_says_so(config):
    table = build_tables(metrics(config).assign(video="only"), runs(config), config)[1]
    cells = [row.cells[0] for row in table.rows if row.source == "measured"]
    assert all(cell.value is not None and cell.interval is None for cell in cells)
    assert (
        "Note: RAVDESS actor B, held out: no interval for psnr_rgb, lpips_alex, ids_dlib: all clips are of "
        "one video."
    ) in table.to_markdown()


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
    write_summary(without(metrics(config), "main", "ids_dlib", ["a"]), tmp_path / "gap")
    summary = json.loads((tmp_path / "gap/bicubic.json").read_text())
    assert summary["held_out"]["ids_dlib"] == pytest.approx(0.65), "over the clips that every method has"


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


def test_a_method_that_restored_nothing_is_a_row_that_says_why(config):
    evaluation = config.evaluation.model_copy(update={"baselines": ["bicubic", "codeformer"]})
    config = config.model_copy(update={"evaluation": evaluation})
    table = metrics(config)
    missing = table["method"] == "codeformer"
    table.loc[missing, "value"] = np.nan
    table.loc[missing, "reason"] = "its licence is not accepted"
    nothing = Run(method="codeformer", num_frames={}, missing="its licence is not accepted")
    built = build_tables(table, runs(config) | {("held_out", "codeformer"): nothing}, config)
    (row,) = [row for row in built[7].rows if (row.method, row.source) == ("CodeFormer", "measured")]
    assert row.num_clips is None
    assert {cell.value for cell in row.cells} == {None}
    assert "its licence is not accepted" in {cell.reason for cell in row.cells}
    (bicubic,) = [row for row in built[7].rows if row.method.startswith("degraded input")]
    assert bicubic.cells[0].value is not None


def test_a_published_method_stands_in_its_tables_and_a_missing_one_says_why(config):
    methods = {name: PublishedMethodConfig(kind="published") for name in ("keep", "difface")}
    evaluation = config.evaluation.model_copy(update={"methods": methods})
    config = config.model_copy(update={"evaluation": evaluation})
    table = metrics(config)
    missing = table["method"] == "keep"
    table = table.assign(
        value=table["value"].mask(missing), reason=table["reason"].mask(missing, "keep: no GPU is visible")
    )
    nothing = Run(method="keep", num_frames={}, missing="keep: no GPU is visible")
    timed = replace(RUN, method="difface", time_of="DifFace: its own program", peak_memory_mb=None)
    found = {**runs(config), ("held_out", "keep"): nothing, ("held_out", "difface"): timed}
    tables = build_tables(table, found, config)
    measured = {
        number: {row.method: row for row in built.rows if row.source == "measured"}
        for number, built in tables.items()
    }
    assert [number for number, rows in measured.items() if "KEEP" in rows] == [1, 2]
    assert [number for number, rows in measured.items() if "DifFace" in rows] == [7]
    keep, difface = measured[1]["KEEP"], measured[7]["DifFace"]
    assert keep.num_clips is None
    assert {cell.value for cell in keep.cells} == {None}
    assert keep.cells[0].reason == "keep: no GPU is visible"
    assert difface.cells[0].value is not None
    assert difface.num_clips == 3
    main = measured[1]["VividFace (ours, nano)"]
    assert main.cells[0].value is not None, "a method that is missing takes no clip from the others"
    assert tables[7].notes[-1].startswith("DifFace: run here from the published code; docs/methods.md says")


def test_the_time_of_a_program_of_others_says_what_it_is_of():
    run = replace(RUN, time_of="KEEP: its own program, with loading of the model, reading and writing")
    assert run.conditions == (
        "Time of KEEP: its own program, with loading of the model, reading and writing, on a clip of 10 "
        "frames of 128x128; a CPU"
    )


def test_results_of_others_are_a_row_of_every_table_of_their_benchmark(config):
    theirs = FolderMethodConfig(kind="folder", title="Theirs", folders={"held_out": "theirs"})
    evaluation = config.evaluation.model_copy(update={"methods": {"theirs": theirs}})
    config = config.model_copy(update={"evaluation": evaluation})
    of_theirs = {("held_out", "theirs"): Run(method="theirs", num_frames={"a": 10, "b": 10, "c": 10})}
    for number, table in build_tables(metrics(config), runs(config) | of_theirs, config).items():
        (row,) = [row for row in table.rows if row.method == "Theirs"]
        cells = dict(zip([name for _, name in table.columns], row.cells, strict=True))
        assert cells["lpips_alex"].value if "lpips_alex" in cells else number in (2, 7)
        for name, cell in cells.items():
            if name.startswith("run."):
                assert (cell.value, cell.reason) == (None, "results that others made come without it")
