"""What can be seen of a training while it runs."""

import sys

import pytest

from vividface.errors import InputError
from vividface.training.worker import train_latent_stage


def test_curves_and_sample_grids_are_written(latent_job):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_latent_stage(latent_job)
    events = EventAccumulator(str(latent_job.folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("validation/psnr")] == [3, 6]
    grids = sorted(path.name for path in (latent_job.folder / "samples").iterdir())
    assert grids == ["step-00000003.png", "step-00000006.png"]


def test_weights_and_biases_without_its_package_is_one_clear_line(make_job, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match="`pip install wandb`, or set it to null"):
        train_latent_stage(make_job(tmp_path, {"wandb": "faces"}))
