"""Exact resumption: of runs that were killed, from damaged states, and with other settings."""

import importlib.machinery
import os
import shutil
import signal
import subprocess
import sys
from unittest.mock import MagicMock

import pandas as pd
import pytest

from vividface.config import TrainingConfig, is_execution
from vividface.errors import InputError
from vividface.training.job import write_job
from vividface.training.run import train_latent_stage

from .helpers import fail_at_step, same_weights, state_names

pytestmark = pytest.mark.xdist_group("training")

KILLED_AT = (1, 3, 6)
# Trains jobs one after the other, each in a process of its own that is killed before its nth step.
_KILLING = """
import os, signal, sys
from pathlib import Path
from vividface.training.trainer import Trainer
from vividface.training.worker import main
advance, steps = Trainer._advance, []
def killing(self, batches):
    steps.append(batches)
    if len(steps) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(self, batches)
Trainer._advance = killing
for last, path in zip(map(int, sys.argv[1::2]), sys.argv[2::2]):
    child = os.fork()
    if not child:
        os._exit(main(Path(path)))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
# Another value for each key that says only how a training is computed. fsdp needs GPUs.
ANOTHER_WAY = {
    "micro_batch": 1,
    "gradient_checkpointing": True,
    "num_workers": 1,
    "in_memory": True,
    "max_loss_ratio": 50.0,
    "log_every": 2,
    "validate_every": 2,
    "checkpoint_every": 5,
    "keep_last": 1,
    "keep_every": 4,
    "wandb": "faces",
}


@pytest.fixture(scope="module")
def killed(make_job, tmp_path_factory):
    """By the step at which it was killed: a job, and the status that its process ended with."""
    jobs = {step: make_job(tmp_path_factory.mktemp(f"killed-at-{step}")) for step in KILLED_AT}
    arguments = []
    for step, job in jobs.items():
        write_job(job)
        arguments += [str(step), str(job.file)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _KILLING, *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    statuses = [int(line) for line in result.stdout.split()]
    assert len(statuses) == len(jobs), result.stderr
    return dict(zip(jobs, zip(jobs.values(), statuses, strict=True), strict=True))


@pytest.fixture(scope="module")
def interrupted(make_job, tmp_path_factory):
    """A job that was interrupted after its fourth step, with states of two and four."""
    job = make_job(tmp_path_factory.mktemp("interrupted"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        fail_at_step(patch, 5)
        train_latent_stage(job)
    assert state_names(job) == ["step-00000002", "step-00000004"]
    return job


@pytest.fixture
def interrupted_job(interrupted, make_job, tmp_path):
    """`interrupted_job(values, ...)`: the interrupted job with other values, and a copy of its states."""

    def make(values=None, **changes):
        job = make_job(tmp_path, values, **changes)
        shutil.copytree(interrupted.paths.states, job.paths.states)
        return job

    return make


@pytest.mark.parametrize("step", KILLED_AT)
def test_a_run_killed_at_any_step_ends_with_the_same_bits(step, killed, uninterrupted):
    job, status = killed[step]
    assert status == -signal.SIGKILL
    assert not job.output.exists()
    assert state_names(job) == [f"step-{done:08d}" for done in (2, 4) if done < step]
    # As a process that is killed while it saves leaves it.
    partial = job.paths.states / ".step-00000006.1.partial"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").touch()
    train_latent_stage(job)
    assert same_weights(uninterrupted, job)
    columns = ["step", "loss", "gradient_norm", "learning_rate"]
    assert pd.read_csv(uninterrupted.curve)[columns].equals(pd.read_csv(job.curve)[columns])
    columns = ["step", "psnr", "psnr_input"]
    assert pd.read_csv(uninterrupted.validation)[columns].equals(pd.read_csv(job.validation)[columns])
    assert not job.paths.states.exists()


@pytest.mark.parametrize("values", [{"optimizer": "adamw_8bit"}, {"optimizer": "muon"}, {"lora_rank": 2}])
def test_other_ways_to_train_resume_exactly(values, make_job, monkeypatch, tmp_path):
    whole, job = make_job(tmp_path / "whole", values), make_job(tmp_path / "stopped", values)
    train_latent_stage(whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        fail_at_step(patch, 5)
        train_latent_stage(job)
    assert state_names(job) == ["step-00000002", "step-00000004"]
    train_latent_stage(job)
    assert same_weights(whole, job)
    curve = pd.read_csv(job.curve)["loss"]
    assert curve.iloc[-1] < curve.iloc[0]


def test_a_damaged_state_is_reported_and_the_one_before_it_used(interrupted_job, uninterrupted, caplog):
    job = interrupted_job()
    newest = job.paths.states / "step-00000004" / "model.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    with caplog.at_level("INFO"):
        train_latent_stage(job)
    assert "step-00000004: model.safetensors is damaged; the state before it is used" in caplog.text
    assert "at step 2" in caplog.text
    assert same_weights(uninterrupted, job)


@pytest.mark.parametrize(
    ("values", "changes", "names"),
    [
        ({"learning_rate": 1e-5}, {}, "learning_rate"),
        ({"num_validation_clips": 0}, {"seed": 1}, "clips, num_validation_clips, seed"),
        ({}, {"p": 0.25}, "p"),
    ],
)
def test_a_state_of_another_run_is_refused(values, changes, names, interrupted_job):
    job = interrupted_job(values, **changes)
    with pytest.raises(InputError, match=rf"latent_stage\.state: .*another {names}.*; set it back"):
        train_latent_stage(job)


def test_another_way_is_known_for_every_key_of_execution():
    keys = {name for name in TrainingConfig.model_fields if is_execution(TrainingConfig, name)}
    assert keys - {"strategy"} == set(ANOTHER_WAY)


@pytest.mark.parametrize("key", ANOTHER_WAY)
def test_an_interrupted_run_resumes_in_another_way(key, interrupted_job, uninterrupted, monkeypatch, caplog):
    if key == "wandb":
        spec = importlib.machinery.ModuleSpec("wandb", None)
        monkeypatch.setitem(sys.modules, "wandb", MagicMock(__spec__=spec))
    assert getattr(uninterrupted.stage, key) != ANOTHER_WAY[key]
    job = interrupted_job({key: ANOTHER_WAY[key]})
    with caplog.at_level("INFO"):
        train_latent_stage(job)
    assert "at step 4" in caplog.text
    curves = [pd.read_csv(each.curve).set_index("step")["loss"] for each in (uninterrupted, job)]
    if key == "log_every":
        # From where it resumes, a point is the mean over two steps.
        assert curves[1][6] == pytest.approx(curves[0][[5, 6]].mean(), rel=1e-5)
    else:
        assert curves[1].to_numpy() == pytest.approx(curves[0].to_numpy(), rel=1e-5)
    # Only the micro-batches change how the same sums are rounded.
    assert same_weights(uninterrupted, job) or key == "micro_batch"
    assert state_names(job) == (["step-00000004"] if key == "keep_every" else [])


def test_states_are_kept_as_asked(make_job, monkeypatch, tmp_path):
    job = make_job(tmp_path, {"iterations": 8, "checkpoint_every": 1, "keep_last": 2, "keep_every": 3})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        fail_at_step(patch, 7)
        train_latent_stage(job)
    assert state_names(job) == [f"step-{step:08d}" for step in (3, 6, 7)]
    train_latent_stage(job)
    assert state_names(job) == [f"step-{step:08d}" for step in (3, 6)]
