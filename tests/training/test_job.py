"""The file that describes a training."""

import warnings

import pytest

from vividface.training.job import read_job, write_job


def test_a_job_of_a_rules_restricted_configuration_survives_its_file(config, make_job, tmp_path):
    """A rule declares some keys of `model`; the others are null in its job."""
    keys = [
        f"model.{key}" for key in ("preset", "transformer", "autoencoder", "nano", "prediction", "timestep")
    ]
    restricted = config.restricted(config.pick(*keys, "latent_stage"))
    with pytest.raises(AttributeError):
        _ = restricted.model.pretrained
    with warnings.catch_warnings(action="error"):
        job = make_job(tmp_path, model=restricted.model, stage=restricted.latent_stage)
        write_job(job)
        read = read_job(job.file)
    assert read == job
    assert read.model.results().items() >= restricted.model.results().items()
    assert read.model.pretrained is None
    assert read.model.prompt_embedding is None
    assert read.stage == config.latent_stage


def test_a_job_says_where_and_with_what_it_runs(make_pixel_job, tmp_path):
    job = make_pixel_job(tmp_path, tmp_path / "start", device="cuda", threads=8, num_nodes=2, num_processes=4)
    write_job(job)
    assert read_job(job.file) == job
