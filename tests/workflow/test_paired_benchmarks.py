"""The rules of a benchmark that is published with its degraded videos."""

import pytest

from vividface.config import merge_files

DATASET = "vfhq_test_dicface"


@pytest.fixture(scope="module")
def jobs(repository, plan):
    values = merge_files([repository / "config.yaml"])
    pool = {**values["datasets"]["vfhq"], "candidates": True}
    return plan({**values, "num_shards": 2, "datasets": {**values["datasets"], "pool": pool}})


def of(jobs, rule, dataset):
    """Parameters and inputs of a rule's jobs for a dataset."""
    return [
        (params, inputs)
        for (name, *outputs), (params, inputs) in jobs.items()
        if name == rule and any(f"/{dataset}/" in path or f"/{dataset}." in path for path in outputs)
    ]


def test_its_degraded_clips_are_brought_and_not_made(jobs):
    assert not of(jobs, "degrade", DATASET)
    assert len(of(jobs, "degrade", "vfhq_test")) == 2
    ((fetch, videos),) = of(jobs, "fetch_lq", DATASET)
    assert fetch["config"]["datasets"][DATASET]["lq_source"]["files"] == ["bfr_512.tar"]
    assert videos == [f"data/{DATASET}/videos.parquet"]
    assert [inputs for _, inputs in of(jobs, "extract_lq", DATASET)] == [
        [f"data/{DATASET}/clips.parquet", f"data/{DATASET}/lq_videos.parquet"]
    ] * 2


def test_its_restorations_are_of_them_and_measured_against_the_truth(jobs):
    for _, inputs in of(jobs, "restore_benchmark", DATASET):
        assert {f"data/{DATASET}/{kind}/0001" for kind in ("lq", "hq")} <= set(inputs)
    measured = of(jobs, "measure", DATASET)
    assert len(measured) == len(of(jobs, "measure", "vfhq_test")) == 23, "5 baselines, 13 methods, 5 variants"
    assert all(f"results/benchmark_faces/{DATASET}.safetensors" in inputs for _, inputs in measured)
    assert not of(jobs, "restore_benchmark", "rfv_lq")[0][1].count("data/rfv_lq/lq/0000")


def test_clips_taken_whole_depend_on_no_key_of_the_crop(jobs):
    for dataset, keys in ((DATASET, None), ("vfhq", {"size", "margin"})):
        (params, _), *_ = of(jobs, "extract_clips", dataset)
        clips = params["config"].get("clips")
        assert clips is None if keys is None else keys <= set(clips)


def test_candidates_are_scored_encoded_and_named_to_the_trainings(jobs):
    (params, inputs), *_ = [job for (rule, *_), job in jobs.items() if rule == "latent_stage"]
    assert params["candidates"] == ["pool"]
    assert "data/pool/latents/0000.safetensors" in inputs
    ((_, selected),) = [job for (rule, *_), job in jobs.items() if rule == "select_clips"]
    assert "data/pool/scores/0001.parquet" in selected
