import sys

import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState

from vividface.errors import InputError
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.presets import load_checkpoint
from vividface.training import run
from vividface.training.acceleration import micro_batches
from vividface.training.run import train_latent_stage, train_pixel_stage
from vividface.training.watch import hold_out

CLIPS = [f"clip_{index}" for index in range(8)]
HELD = hold_out(CLIPS, 2, 0)
SELECTED = set(CLIPS[1:4]) - HELD


@pytest.fixture
def seen(monkeypatch):
    """The clips of every step of a training, in order."""
    steps = []
    train = run.train

    def recording(transformer, stage, config, *rest):
        for step in range(config.iterations):
            steps.append(set(stage.batch(step, 0, 1).clip_ids))
        return train(transformer, stage, config, *rest)

    monkeypatch.setattr(run, "train", recording)
    return steps


def weights(checkpoint):
    return load_checkpoint(checkpoint)[0].state_dict()


def same(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_the_last_share_of_the_steps_sees_the_selected_clips_alone(latent_job, seen, tmp_path):
    train_latent_stage(latent_job)
    assert set().union(*seen[:3]) == set(CLIPS) - HELD
    assert set().union(*seen[4:]) <= SELECTED
    transformer, autoencoder = load_checkpoint(latent_job.output)
    assert transformer.proj_out.weight.abs().max() > 0
    assert (transformer.config.clip_frames, transformer.config.clip_size) == (5, 32)
    assert autoencoder.fingerprint == DCTAutoencoder().fingerprint
    curve = pd.read_csv(latent_job.curve)
    assert list(curve["step"]) == [1, 2, 3, 4, 5, 6]
    validation = pd.read_csv(latent_job.validation)
    assert list(validation["step"]) == [3, 6]
    assert validation["psnr_input"].nunique() == 1
    assert validation["psnr"].iloc[-1] > validation["psnr_input"].iloc[-1]
    assert not (tmp_path / "latent_stage.state").exists()


def test_without_the_selected_set_every_step_sees_all_clips(config, make_job, seen, tmp_path):
    train_latent_stage(make_job(tmp_path, variant=config.variants["unfiltered"]))
    assert set().union(*seen[3:]) == set(CLIPS) - HELD


def test_what_can_be_watched(latent_job):
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
        train_latent_stage(make_job(tmp_path, watch={"validation_clips": 2, "wandb": "faces"}))


def test_the_pixel_stage_goes_on_from_the_latent_stage(make_pixel_job, latent_job, seen, tmp_path):
    train_latent_stage(latent_job)
    seen.clear()
    job = make_pixel_job(tmp_path, latent_job.output, {"iterations": 1})
    train_pixel_stage(job)
    assert seen[0] <= SELECTED
    before, after = weights(latent_job.output), weights(job.output)
    distance = max((after[name] - before[name]).abs().max() for name in before)
    assert 0 < distance <= 2 * job.stage.learning_rate, "one step of AdamW from where it started"


def test_a_selection_that_leaves_nothing_is_refused(make_job, tmp_path):
    pd.DataFrame({"clip_id": ["elsewhere"]}).to_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputError, match=r"no clip with latents is left.*filter\.threshold"):
        train_latent_stage(make_job(tmp_path, selected=tmp_path / "none.parquet"))
    assert not (tmp_path / "latent_stage").exists()


def test_training_twice_gives_the_same_bits_however_batches_are_read(make_job, tmp_path):
    jobs = [make_job(tmp_path / str(workers), {"workers": workers}) for workers in (0, 2)]
    for job in jobs:
        train_latent_stage(job)
    assert same(*(weights(job.output) for job in jobs))


def test_adapters_are_merged_into_a_plain_checkpoint(make_job, tmp_path):
    job = make_job(tmp_path, {"lora_rank": 4})
    train_latent_stage(job)
    transformer, _ = load_checkpoint(job.output)
    assert not any("lora" in name for name in transformer.state_dict())
    assert transformer.proj_out.weight.abs().max() > 0
    curve = pd.read_csv(job.curve)
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0]


def test_checkpointing_and_precision_leave_the_curve(make_job, tmp_path):
    stages = {"plain": {}, "checkpointing": {"gradient_checkpointing": True}, "bf16": {"precision": "bf16"}}
    curves = {}
    for name, stage in stages.items():
        AcceleratorState._reset_state(True)
        job = make_job(tmp_path / name, stage)
        train_latent_stage(job)
        curves[name] = pd.read_csv(job.curve)["loss"].to_numpy()
    assert curves["checkpointing"] == pytest.approx(curves["plain"], rel=1e-5)
    assert curves["bf16"] == pytest.approx(curves["plain"], rel=0.02)
    assert (curves["bf16"] != curves["plain"]).any()


def test_accumulated_micro_batches_are_one_large_batch(make_job, tmp_path):
    curves = []
    for micro_batch in (4, 2, 1):
        job = make_job(tmp_path / str(micro_batch), {"batch_size": 4, "micro_batch": micro_batch})
        train_latent_stage(job)
        curves.append(pd.read_csv(job.curve)["loss"].to_numpy())
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
    assert curves[2] == pytest.approx(curves[0], rel=1e-5)


@pytest.mark.parametrize(
    ("batch_size", "micro_batch", "processes", "parts"),
    [(32, 4, 8, 1), (32, 4, 2, 4), (32, 3, 2, 8), (6, 4, 1, 2), (3, 4, 1, 1)],
)
def test_a_batch_is_shared_by_the_processes(config, batch_size, micro_batch, processes, parts):
    values = {"batch_size": batch_size, "micro_batch": micro_batch}
    assert micro_batches(config.latent_stage.model_copy(update=values), processes) == parts


def test_a_batch_that_cannot_be_shared_is_refused(config):
    with pytest.raises(InputError, match="3 samples cannot be shared equally by 2 processes"):
        micro_batches(config.latent_stage, 2)
