"""What can be seen of a training while it runs."""

import sys

import pytest
import torch
from accelerate import Accelerator

from vividface.errors import InputError
from vividface.training.base import Example
from vividface.training.monitor import Monitor
from vividface.training.run import train_latent_stage
from vividface.weights.cache import fetch_groups


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


@pytest.fixture
def lpips_weights():
    try:
        fetch_groups(["lpips_alex"])
    except InputError as error:
        pytest.skip(f"the weights of LPIPS are not to be had here: {error}")


@pytest.mark.usefixtures("lpips_weights")
def test_measures_are_of_float32_under_mixed_precision(config, tmp_path):
    generator = torch.Generator().manual_seed(0)
    hq = torch.rand(3, 2, 64, 64, generator=generator) * 2 - 1
    example = Example(0.5 * hq, 0.9 * hq, hq)
    settings = {"config": config.latent_stage, "step": 0, "settings": {}}
    measures = []
    with torch.no_grad(), Monitor(Accelerator(), tmp_path, **settings) as monitor:
        for enabled in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                measures.append(monitor.validate([example], 1))
    assert {"psnr", "psnr_input", "lpips", "lpips_input"} == set(measures[0])
    assert measures[0] == measures[1]
