"""The loop: exact resumption, guards, signals, several processes."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vividface.errors import InputError, StoppedError
from vividface.models.presets import load_checkpoint
from vividface.training import launch as launching
from vividface.training.jobs import write_job
from vividface.training.launch import launch, node_command, shape
from vividface.training.run import train_latent_stage
from vividface.training.stages import LatentStage, Sampler


def weights(job):
    return load_checkpoint(job.output)[0].state_dict()


def same(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def states(job):
    folder = job.output.with_name("latent_stage.state")
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def failing(monkeypatch, at, error=KeyboardInterrupt):
    """From the micro-step `at` on the data cannot be read."""
    batch = LatentStage.batch

    def read(self, micro_step, *rest):
        if micro_step >= at:
            raise error
        return batch(self, micro_step, *rest)

    monkeypatch.setattr(LatentStage, "batch", read)


def test_the_result_is_the_moving_average_of_the_weights(make_job, tmp_path):
    values = {
        "checkpoint_every": 1,
        "keep_every": 1,
        "ema_decay": 0.5,
        "schedule": "constant",
        "fine_share": 0,
    }
    job = make_job(tmp_path / "longer", values | {"iterations": 5})
    train_latent_stage(job)
    folder = tmp_path / "longer" / "latent_stage.state"
    name, expected = "transformer.proj_out.weight", None
    for step in range(1, 5):
        raw = load_file(folder / f"step-{step:08d}" / "model.safetensors")[name]
        # diffusers' warm-up of the decay; the first step copies.
        decay = min((1 + step - 1) / (10 + step - 1), 0.5) if step > 1 else 0.0
        expected = raw if expected is None else expected + (1 - decay) * (raw - expected)
        average = load_file(folder / f"step-{step:08d}" / "ema.safetensors")[name]
        assert torch.allclose(average, expected, atol=1e-7), step
    assert not torch.equal(average, raw)
    shorter = make_job(tmp_path / "shorter", values | {"iterations": 4})
    train_latent_stage(shorter)
    assert torch.equal(weights(shorter)["proj_out.weight"], average)


def test_the_loss_falls_and_is_logged(make_job, tmp_path):
    job = make_job(tmp_path, {"iterations": 20})
    train_latent_stage(job)
    curve = pd.read_csv(job.curve)
    assert list(curve.columns) == ["step", "loss", "learning_rate", "seconds", "gradient_norm"]
    assert curve["loss"].tail(4).mean() < 0.8 * curve["loss"].head(4).mean()


# Exact resumption

_KILLED = """
import os, signal, sys
from pathlib import Path
from vividface.training import loop
from vividface.training.worker import main
advance, calls = loop._Run.advance, []
def killing(self, *rest):
    calls.append(1)
    if len(calls) == {calls}:
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(self, *rest)
loop._Run.advance = killing
main(Path({path!r}))
"""


@pytest.mark.parametrize("step", [1, 3, 6])
def test_a_run_killed_at_any_step_ends_with_the_same_bits(step, make_job, tmp_path):
    whole, killed = make_job(tmp_path / "whole"), make_job(tmp_path / "killed")
    train_latent_stage(whole)
    path = tmp_path / "job.json"
    write_job(path, killed)
    killed.folder.mkdir(parents=True)
    code = _KILLED.format(calls=step, path=str(path))
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()
    assert not killed.output.exists()
    assert states(killed) == [f"step-{done:08d}" for done in (2, 4) if done < step]
    # As a process that is killed while it saves leaves it.
    half = killed.output.with_name("latent_stage.state") / ".step-00000006.1.partial"
    half.mkdir(parents=True)
    (half / "model.safetensors").touch()
    train_latent_stage(killed)
    assert same(weights(whole), weights(killed))
    columns = ["step", "loss", "gradient_norm", "learning_rate"]
    assert pd.read_csv(whole.curve)[columns].equals(pd.read_csv(killed.curve)[columns])
    validations = [pd.read_csv(job.validation)[["step", "psnr", "psnr_input"]] for job in (whole, killed)]
    assert validations[0].equals(validations[1])
    assert not half.parent.exists()


@pytest.mark.parametrize("stage", [{"optimizer": "adamw_8bit"}, {"lora_rank": 2}])
def test_other_ways_to_train_go_on_likewise(stage, make_job, monkeypatch, tmp_path):
    whole, job = make_job(tmp_path / "whole", stage), make_job(tmp_path / "stopped", stage)
    train_latent_stage(whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        failing(patch, 5)
        train_latent_stage(job)
    assert states(job) == ["step-00000002", "step-00000004"]
    train_latent_stage(job)
    assert same(weights(whole), weights(job))
    curve = pd.read_csv(job.curve)["loss"]
    assert curve.iloc[-1] < curve.iloc[0]


def test_a_damaged_state_is_reported_and_the_one_before_it_used(make_job, monkeypatch, tmp_path, caplog):
    whole, job = make_job(tmp_path / "whole"), make_job(tmp_path / "damaged")
    train_latent_stage(whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        failing(patch, 5)
        train_latent_stage(job)
    newest = tmp_path / "damaged" / "latent_stage.state" / "step-00000004" / "model.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    with caplog.at_level("INFO"):
        train_latent_stage(job)
    assert "step-00000004: model.safetensors is damaged; the state before it is used" in caplog.text
    assert "at step 2" in caplog.text
    assert same(weights(whole), weights(job))


def test_a_state_of_another_run_is_refused_and_watching_may_change(make_job, monkeypatch, tmp_path):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        failing(patch, 3)
        train_latent_stage(make_job(tmp_path))
    with pytest.raises(InputError, match=r"latent_stage\.state: .*another learning_rate; set it back"):
        train_latent_stage(make_job(tmp_path, {"learning_rate": 1e-5}))
    with pytest.raises(InputError, match=r"another clips, seed"):
        train_latent_stage(make_job(tmp_path, seed=1, watch={"validation_clips": 0}))
    train_latent_stage(make_job(tmp_path, {"log_every": 3, "checkpoint_every": 5, "workers": 1}))


def test_states_are_kept_as_asked(make_job, monkeypatch, tmp_path):
    job = make_job(tmp_path, {"iterations": 8, "checkpoint_every": 1, "keep_last": 2, "keep_every": 3})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        failing(patch, 7)
        train_latent_stage(job)
    assert states(job) == [f"step-{step:08d}" for step in (3, 6, 7)]
    train_latent_stage(job)
    assert states(job) == [f"step-{step:08d}" for step in (3, 6)]


# Guards


def test_a_loss_that_is_not_finite_names_the_clips(make_job, monkeypatch, tmp_path):
    monkeypatch.setattr(
        LatentStage, "loss", lambda self, restorer, batch: {"loss": restorer(batch.low).sum() * float("nan")}
    )
    with pytest.raises(InputError, match=r"the loss is nan .* at step 1 with the clips clip_\d, clip_\d"):
        train_latent_stage(make_job(tmp_path))
    assert not (tmp_path / "latent_stage").exists()


def test_an_exploding_loss_stops(make_job, monkeypatch, tmp_path):
    loss, calls = LatentStage.loss, []

    def exploding(self, restorer, batch):
        calls.append(1)
        terms = loss(self, restorer, batch)
        return {"loss": terms["loss"] * (1e4 if len(calls) == 25 else 1)}

    monkeypatch.setattr(LatentStage, "loss", exploding)
    with pytest.raises(
        InputError, match=r"more than 100 times \(max_loss_ratio\) its recent mean .* step 25"
    ):
        train_latent_stage(make_job(tmp_path, {"iterations": 30}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("fingerprint", "holds latents of the autoencoder 'another'"),
        ("length", r"0000\.safetensors: the latents of the clip clip_0 are \(768, 3, 4, 4\)"),
        ("size", r"the latents of the clip clip_1 are \(768, 2, 6, 4\)"),
        ("mask", r"clip_0\.mask is \(2, 4, 5\) instead of \(2, 4, 4\)"),
        ("missing", "the clip clip_0 is not complete"),
    ],
)
def test_a_shard_that_does_not_fit_is_refused_by_name(change, message, make_job, data, tmp_path):
    source, shard = data / "mine" / "latents" / "0000.safetensors", tmp_path / "0000.safetensors"
    tensors = load_file(source)
    with safe_open(source, "pt") as file:
        made_with = file.metadata()["autoencoder"]
    if change == "fingerprint":
        made_with = "another"
    elif change == "length":
        tensors["clip_0.hq"] = torch.zeros(768, 3, 4, 4)
    elif change == "size":
        tensors["clip_1.hq"] = torch.zeros(768, 2, 6, 4)
    elif change == "mask":
        tensors["clip_0.mask"] = torch.zeros(2, 4, 5)
    else:
        del tensors["clip_0.lq"]
    save_file(tensors, shard, {"autoencoder": made_with})
    with pytest.raises(InputError, match=message):
        train_latent_stage(make_job(tmp_path, latents=[shard]))


# Signals and processes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_the_next_run_goes_on(number, make_job, tmp_path):
    stage = {"iterations": 60, "workers": 1}
    whole, job = make_job(tmp_path / "whole", stage), make_job(tmp_path / "cut", stage)
    train_latent_stage(whole)
    advance = LatentStage.loss
    calls = []

    def signalling(self, restorer, batch):
        calls.append(1)
        if len(calls) == 7:
            # As SLURM does: to all processes, those that read batches too.
            for process in [*multiprocessing.active_children(), multiprocessing.current_process()]:
                os.kill(process.pid, number)
        return advance(self, restorer, batch)

    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(StoppedError, match=r"after step [78]; run it again"),
    ):
        patch.setattr(LatentStage, "loss", signalling)
        train_latent_stage(job)
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    train_latent_stage(job)
    assert same(weights(whole), weights(job))


def test_two_processes_train_as_one_with_the_same_global_batch(make_job, tmp_path):
    """Through `accelerate launch`, over gloo."""
    stage = {"iterations": 8, "batch_size": 4}
    one = make_job(tmp_path / "one", stage)
    two = make_job(tmp_path / "two", stage | {"micro_batch": 1}, processes=2)
    for job in (one, two):
        launch(job, tmp_path / "log", threads=2)
    curves = [pd.read_csv(job.curve) for job in (one, two)]
    assert curves[1]["loss"].to_numpy() == pytest.approx(curves[0]["loss"].to_numpy(), rel=1e-4)
    assert pd.read_csv(two.validation)["psnr"].to_numpy() == pytest.approx(
        pd.read_csv(one.validation)["psnr"].to_numpy(), abs=0.01
    )
    assert "step 8 of 8" in (tmp_path / "log").read_text()


def test_a_signal_to_the_launcher_stops_all_processes_and_they_go_on(make_job, tmp_path):
    job = make_job(tmp_path, {"iterations": 2000, "log_every": 20}, processes=2)
    path, log = tmp_path / "job.json", tmp_path / "log"
    write_job(path, job)
    code = (
        "import sys; from pathlib import Path; from vividface.logs import rule_log\n"
        "from vividface.training.jobs import read_job; from vividface.training.launch import launch\n"
        f"with rule_log({str(log)!r}):\n    launch(read_job(Path({str(path)!r})), {str(log)!r}, 2)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 120
    while "step 20 of" not in (log.read_text() if log.exists() else ""):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == os.EX_TEMPFAIL
    last = log.read_text().splitlines()[-1]
    assert last.startswith("stopped by a signal after step ")
    assert last.endswith("run it again to go on from there")
    assert len(states(job)) >= 1


def test_what_a_process_finds_wrong_is_what_the_launcher_says(make_job, tmp_path):
    job = make_job(tmp_path, latents=[tmp_path / "absent.safetensors"])
    (tmp_path / "absent.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"absent\.safetensors: holds no latents"):
        launch(job, tmp_path / "log")


def test_the_nodes_of_a_slurm_job_find_each_other(make_job, monkeypatch, tmp_path):
    job = make_job(tmp_path, nodes=2, processes=4)
    monkeypatch.setattr(launching, "_address", lambda hosts: hosts.split(",")[0])
    environment = {
        "SLURM_NODEID": "1",
        "SLURM_NNODES": "2",
        "SLURM_JOB_ID": "70123",
        "SLURM_JOB_NODELIST": "gpu7,gpu9",
    }
    command = node_command(job, tmp_path / "job.json", "cuda", "8", environment)
    options = dict(itertools.pairwise(command))
    assert (options["--num_processes"], options["--num_machines"], options["--machine_rank"]) == (
        "8",
        "2",
        "1",
    )
    assert (options["--main_process_ip"], options["--main_process_port"]) == ("gpu7", "30123")
    assert "--multi_gpu" in command
    assert command[-2:] == ["vividface.training.worker", str(tmp_path / "job.json")]
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(InputError, match="a training on 2 nodes is to run in a SLURM job"):
        launch(job, tmp_path / "log")
    with pytest.raises(InputError, match="the SLURM job has 1 nodes"):
        node_command(job, tmp_path / "job.json", "cuda", "8", environment | {"SLURM_NNODES": "1"})


@pytest.mark.parametrize(
    ("resources", "batch_size", "expected"),
    [
        ({"gpu": 8}, 32, (1, 8)),
        ({"gpu": 16, "nodes": 2, "tasks": 2}, 32, (2, 8)),
        ({"gpu": 0, "tasks": 2, "nodes": 2}, 4, (2, 1)),
        ({"gpu": 0}, 3, (1, 1)),
        ({"gpu": 8}, 3, (1, 3)),
    ],
)
def test_every_gpu_has_a_process_if_the_batch_can_be_shared(resources, batch_size, expected):
    assert tuple(shape(resources, batch_size).values()) == expected


def test_fsdp_without_a_gpu_is_refused(make_job, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="strategy: fsdp needs GPUs"):
        train_latent_stage(make_job(tmp_path, {"strategy": "fsdp"}))


# The order of the data


def test_sampler_sees_every_clip_once_an_epoch_however_many_processes():
    sampler = Sampler(clips=8, batch_size=2, p=0.5, seed=3)
    epoch = [index for step in range(4) for index in sampler.draw(step, 0, 1)[0]]
    assert sorted(epoch) == list(range(8))
    second = [index for step in range(4, 8) for index in sampler.draw(step, 0, 1)[0]]
    assert sorted(second) == list(range(8))
    assert epoch != second
    for step in range(4):
        together = [sampler.draw(step, rank, 2) for rank in (0, 1)]
        indices, positions, focus = sampler.draw(step, 0, 1)
        assert sorted(together[0][0] + together[1][0]) == sorted(indices)
        assert torch.equal(torch.cat([part[1] for part in together]).sort().values, positions.sort().values)
        assert sum(part[2].sum() for part in together) == focus.sum()
