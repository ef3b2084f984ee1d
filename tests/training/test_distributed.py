"""How processes share a training."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from vividface.errors import InputError
from vividface.models.checkpoints import build_transformer
from vividface.training.distributed import make_optimizers, num_micro_batches
from vividface.training.launcher import launch
from vividface.training.run import train_latent_stage
from vividface.training.trainer import OneStepModule


@pytest.mark.parametrize(
    ("batch_size", "micro_batch", "num_processes", "parts"),
    [(32, 4, 8, 1), (32, 4, 2, 4), (32, 3, 2, 8), (6, 4, 1, 2), (3, 4, 1, 1)],
)
def test_a_batch_is_shared_by_the_processes(config, batch_size, micro_batch, num_processes, parts):
    values = {"batch_size": batch_size, "micro_batch": micro_batch}
    stage = config.latent_stage.model_copy(update=values)
    assert num_micro_batches(stage, num_processes=num_processes) == parts


def test_a_batch_that_cannot_be_shared_is_refused(config):
    stage = config.latent_stage.model_copy(update={"batch_size": 3})
    with pytest.raises(InputError, match="3 samples cannot be shared equally by 2 processes"):
        num_micro_batches(stage, num_processes=2)


def test_accumulated_micro_batches_are_one_large_batch(make_job, tmp_path):
    curves = []
    for micro_batch in (4, 2, 1):
        job = make_job(tmp_path / str(micro_batch), {"batch_size": 4, "micro_batch": micro_batch})
        train_latent_stage(job)
        curves.append(pd.read_csv(job.curve)["loss"].to_numpy())
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
    assert curves[2] == pytest.approx(curves[0], rel=1e-5)


def test_two_processes_train_as_one_with_the_same_global_batch(make_job, tmp_path):
    """The two through `accelerate launch`, over gloo."""
    values = {"iterations": 8, "batch_size": 4}
    one = make_job(tmp_path / "one", values)
    two = make_job(tmp_path / "two", values | {"micro_batch": 1}, num_processes=2, threads=2)
    train_latent_stage(one)
    two.output.parent.mkdir()
    launch(two)
    assert "step 8 of 8" in two.log.read_text()
    curves = [pd.read_csv(job.curve)["loss"].to_numpy() for job in (one, two)]
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    validations = [pd.read_csv(job.validation)["psnr"].to_numpy() for job in (one, two)]
    assert validations[1] == pytest.approx(validations[0], abs=0.01)


def test_fsdp_without_a_gpu_is_refused(make_job, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="strategy: fsdp needs GPUs"):
        train_latent_stage(make_job(tmp_path, {"strategy": "fsdp"}))


def test_fsdp_rounds_neither_the_degraded_latents_nor_their_sum_with_the_change(tmp_path):
    """In two processes, over gloo, with the precision of a training on GPUs."""
    script = Path(__file__).with_name("fsdp_process.py")
    command = [*(sys.executable, "-m", "torch.distributed.run", "--standalone"), "--nproc-per-node=2"]
    subprocess.run([*command, str(script), str(tmp_path)], check=True)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        lq, restored = found["lq"], found["restored"]
        assert restored.dtype == torch.float32
        assert (lq.bfloat16().float() != lq).any(), "bfloat16 would round them"
        assert torch.equal(found["unchanged"], lq), "of a model that changes nothing"
        change = restored - lq
        assert change.abs().max() > 0
        assert (restored.bfloat16().float() != restored).any()
        assert torch.allclose(restored, found["plain"], atol=0.02 * float(change.abs().max()))
        assert found["sharded"] == {"weights": {torch.float32}, "gradients": {torch.float32}}
        assert found["in_a_block"] == {torch.bfloat16}


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest(config):
    stage = config.latent_stage.model_copy(update={"optimizer": "muon"})
    transformer = build_transformer(config.model, seed=0)
    transformer.freeze_unused()
    module = OneStepModule(transformer)
    taken, rest = (
        {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        for optimizer in make_optimizers(stage, module)
    )
    for name, weight in module.named_parameters():
        is_matrix = name.startswith("transformer.blocks.") and weight.ndim == 2
        assert (id(weight) in taken) == (is_matrix and weight.requires_grad), name
        assert (id(weight) in rest) == (not is_matrix and weight.requires_grad), name


def test_muon_of_cut_up_matrices_is_refused(config):
    stage = config.latent_stage.model_copy(update={"optimizer": "muon", "strategy": "fsdp"})
    with pytest.raises(InputError, match="muon needs whole matrices"):
        make_optimizers(stage, torch.nn.Linear(2, 2))
