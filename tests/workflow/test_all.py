"""The real Snakefile at a tiny scale, run once for all these tests."""

import copy
import json
import shutil

import pandas as pd
import pytest

from vividface.config import merge, merge_files
from vividface.models.checkpoints import load_checkpoint
from vividface.video import probe

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def test_the_whole_workflow(finished_workspace):
    folder = finished_workspace.folder
    clips = pd.read_parquet(folder / "data/mine/clips.parquet")
    assert clips["kept"].sum() == 3
    transformer, _ = load_checkpoint(folder / "checkpoints/main/pixel_stage")
    assert transformer.config.timestep == 400
    assert transformer.proj_out.weight.abs().max() > 0, "it was trained"
    metrics = pd.read_parquet(folder / "results/metrics/test/main.parquet").set_index("metric")
    assert 10 < metrics.loc["psnr_rgb", "value"] < 60
    assert 0 < metrics.loc["ids_dlib", "value"] <= 1.0001
    assert metrics.loc["fvd_set", "reason"], "clips of nine frames have no FVD"
    run = json.loads((folder / "results/restored/test/main/run.json").read_text())
    assert run["num_steps"] == 1
    assert set(run["num_frames"].values()) == {9}
    assert len(run["seconds_per_run"]) == 3
    assert run["dtype"] in ("float32", "bfloat16")
    report = (folder / "results/report.html").read_text()
    assert 'src="http' not in report
    assert 'href="http' not in report
    for number in range(1, 8):
        assert (folder / f"results/tables/table{number}.md").read_text().startswith(f"# Table {number}:")
    enhanced = probe(folder / "results/enhanced/enhanced.mp4")
    assert (enhanced.width, enhanced.num_frames, enhanced.has_audio) == (64, 72, True)
    assert probe(folder / "results/enhanced/side_by_side.mp4").width == 512


def test_nothing_runs_twice(finished_workspace):
    assert finished_workspace.planned("all") == {}


def test_a_forced_rule_reruns_with_what_depends_on_it(finished_workspace):
    planned = finished_workspace.planned("all", forced=["pixel_stage"])
    assert planned["pixel_stage"] == 1
    assert {"restore_benchmark", "measure", "write_tables", "render_report", "enhance"} <= set(planned)
    assert not {"latent_stage", "encode_latents", "degrade", "extract_clips"} & set(planned)


def test_a_deleted_output_is_made_again(finished_workspace):
    table = finished_workspace.folder / "results/tables/table1.md"
    text = table.read_text()
    table.unlink()
    planned = finished_workspace.planned("tables")
    assert set(planned) == {"tables", "write_tables"}
    result = finished_workspace.snakemake("all")
    assert result.returncode == 0
    assert table.read_text() == text


def test_a_changed_key_reruns_what_depends_on_it_and_says_why(finished_workspace):
    before = copy.deepcopy(finished_workspace.overlay)
    try:
        finished_workspace.overlay["pixel_stage"]["iterations"] = 3
        planned = finished_workspace.planned("all")
        assert planned["pixel_stage"] == 1
        assert not {"latent_stage", "encode_latents", "score_clips"} & set(planned)
        explained = finished_workspace.snakemake("--dry-run", "all")
        assert "Params have changed since last execution" in explained.stdout + explained.stderr
        finished_workspace.overlay = {**before, "evaluation": {**before["evaluation"], "bootstrap": 500}}
        assert set(finished_workspace.planned("all")) <= {"all", "write_tables", "render_report"}
    finally:
        finished_workspace.overlay = before


def test_another_way_of_running_reruns_nothing(finished_workspace):
    before = copy.deepcopy(finished_workspace.overlay)
    try:
        finished_workspace.overlay["training"] = {"num_workers": 0, "keep_last": 3, "wandb": "project"}
        finished_workspace.overlay["latent_stage"]["log_every"] = 7
        finished_workspace.overlay["faces"] = {"batch_size": 4}
        assert finished_workspace.planned("all", "results/filter_study.md") == {}
    finally:
        finished_workspace.overlay = before


def test_another_threshold_selects_again_and_scores_nothing(finished_workspace):
    before = copy.deepcopy(finished_workspace.overlay)
    try:
        finished_workspace.overlay["filter"] = {"threshold": 10, "per_video": 2}
        planned = finished_workspace.planned("all")
        assert {"select_clips", "filtering_page", "latent_stage"} <= set(planned)
        assert not {"score_clips", "face_masks", "encode_latents"} & set(planned)
    finally:
        finished_workspace.overlay = before


def test_results_of_others_are_measured_as_ours_are(finished_workspace, tmp_path):
    before = copy.deepcopy(finished_workspace.overlay)
    folder = finished_workspace.folder
    ours = folder / "results/restored/test/main"
    for clip in ours.glob("*.mkv"):
        # A benchmark's only clip of a video may be named after the video.
        shutil.copyfile(clip, tmp_path / f"{clip.stem.rpartition('-')[0]}.mkv")
    try:
        theirs = {"kind": "folder", "title": "Theirs", "folders": {"test": str(tmp_path)}}
        finished_workspace.overlay["evaluation"] = {**before["evaluation"], "methods": {"theirs": theirs}}
        planned = finished_workspace.planned("all")
        assert set(planned) - {"all"} == {"import_results", "measure", "write_tables", "render_report"}
        result = finished_workspace.snakemake("results/metrics/test/theirs.parquet")
        assert result.returncode == 0, result.stderr
    finally:
        finished_workspace.overlay = before
    values = [
        pd.read_parquet(folder / f"results/metrics/test/{method}.parquet")["value"]
        for method in ("main", "theirs")
    ]
    pd.testing.assert_series_equal(*values)
    assert finished_workspace.planned("all") == {}


def test_the_filters_study(finished_workspace):
    study = json.loads((finished_workspace.folder / "results/filter_study.json").read_text())
    assert study["repeats"]["variance"] == 0, "the judge measures the same twice"
    sets = [
        pd.read_parquet(finished_workspace.folder / f"data/selection/study/{name}.parquet")
        for name in ("metric", "random")
    ]
    selected = pd.read_parquet(finished_workspace.folder / "data/selection/face90.parquet")
    assert [len(table) for table in sets] == [len(selected)] * 2
    page = (finished_workspace.folder / "results/filtering.html").read_text()
    assert page.count("data:image/jpeg") == 3


def test_a_variant_trains_on_a_set_of_the_study(finished_workspace):
    before = finished_workspace.overlay
    variant = {"title": "selected at random", "selected_by": "random"}
    finished_workspace.overlay = before | {"variants": before["variants"] | {"by_random": variant}}
    try:
        result = finished_workspace.snakemake("checkpoints/by_random/latent_stage")
    finally:
        finished_workspace.overlay = before
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    record = (finished_workspace.folder / "checkpoints/by_random/latent_stage/provenance.json").read_text()
    assert "data/selection/study/random.parquet" in record
    assert "data/selection/face90.parquet" not in record
    assert "step 4 of 4" in (finished_workspace.folder / "logs/latent_stage/by_random.log").read_text()
    assert finished_workspace.planned("all") == {}, "with the overlay of before"


def test_a_variant_that_shares_a_latent_stage_trains_the_pixel_stage_alone(finished_workspace, monkeypatch):
    before = finished_workspace.overlay
    variant = {"title": "latent face focus only", "pixel_p": 0, "latent_stage_of": "main"}
    variants = before["variants"] | {"latent_only": variant}
    with monkeypatch.context() as patch:
        patch.setattr(finished_workspace, "overlay", before | {"variants": variants})
        planned = finished_workspace.planned("all")
    trained = {"pixel_stage": 1, "restore_benchmark": 1, "measure": 1, "write_tables": 1, "render_report": 1}
    assert planned == trained


def test_another_benchmark_trains_nothing_again_but_is_refused_if_it_was_trained_on(finished_workspace):
    before, folder = finished_workspace.overlay, finished_workspace.folder
    second = before["datasets"]["test"] | {"source": {"kind": "folder", "path": str(folder / "second")}}
    finished_workspace.overlay = before | {"datasets": before["datasets"] | {"second": second}}
    (folder / "second").mkdir()
    shutil.copyfile(folder / "videos/face.mp4", folder / "second/again.mp4")
    try:
        planned = finished_workspace.planned("all")
        result = finished_workspace.snakemake("data/second/clips.parquet")
    finally:
        finished_workspace.overlay = before
    assert {"find_shared", "plan_clips", "gather_clips", "measure"} <= set(planned)
    assert planned["plan_clips"] == planned["extract_clips"] == planned["gather_clips"] == 1
    assert not {"encode_latents", "latent_stage", "pixel_stage"} & set(planned)
    assert result.returncode != 0
    error = (folder / "logs/gather_clips/second.log").read_text().splitlines()[-1]
    assert error.startswith("error: datasets.second: 1 of its videos are trained on, as face of mine")
    assert not (folder / "data/second/clips.parquet").exists()
    # What the workspace was before: the other tests use it too.
    assert finished_workspace.snakemake("data/shared.parquet").returncode == 0
    assert finished_workspace.planned("all") == {}


def test_the_same_input_gives_the_same_bits(finished_workspace, make_workspace):
    other = make_workspace()
    targets = ["data/mine/lq/0000", "data/mine/latents/0000.safetensors", "checkpoints/main/latent_stage"]
    assert other.snakemake(*targets).returncode == 0
    for target in targets:
        found = finished_workspace.folder / target
        for path in sorted(found.rglob("*")) if found.is_dir() else [found]:
            twin = other.folder / path.relative_to(finished_workspace.folder)
            # The configurations name different folders of videos, and so do the tables of clips.
            if path.is_file() and path.name != "provenance.json":
                assert path.read_bytes() == twin.read_bytes(), path
    records = [
        json.loads((w.folder / "checkpoints/main/latent_stage/provenance.json").read_text())
        for w in (finished_workspace, other)
    ]
    assert records[0].pop("config") != records[1].pop("config")
    for record in records:
        assert record["inputs"].pop("data/mine/clips.parquet")
    assert records[0] == records[1]


def test_a_video_without_a_face_stops_with_the_reason(make_workspace, tmp_path):
    import numpy as np

    from vividface.video import write_clip

    write_clip(tmp_path / "grey.mp4", np.full((30, 96, 96, 3), 90, np.uint8), 25, codec="h264")
    workspace = make_workspace(grey=tmp_path / "grey.mp4")
    result = workspace.snakemake("data/mine/clips.parquet")
    assert result.returncode != 0
    log = (workspace.folder / "logs/gather_clips/mine.log").read_text().splitlines()
    assert log[-1].startswith("error: ")
    assert "no face" in log[-1]
    assert log[-1] in result.stdout + result.stderr
    assert not (workspace.folder / "data/mine/clips.parquet").exists()


def test_a_wrong_key_stops_before_anything_runs(make_workspace):
    workspace = make_workspace()
    workspace.overlay = {**workspace.overlay, "clips": {"frmes": 9}}
    result = workspace.snakemake("all")
    assert result.returncode != 0
    assert "configuration: clips.frmes: unknown key" in result.stdout + result.stderr
    assert not (workspace.folder / "data").exists()


def test_the_papers_experiment_takes_few_jobs(repository, plan):
    """5,000 clips, on the paper's configuration: work is done in shards."""
    sample = {"datasets": {"vfhq": {"source": {"sample": 5000}}}}
    assert 200 < len(plan(merge(merge_files([repository / "config.yaml"]), sample))) < 500
