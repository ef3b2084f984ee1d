"""Starting the processes of a training, on one node and on several."""

import itertools
import os
import signal
import subprocess
import sys

import pytest
from progress import wait_until

from vividface.errors import InputError
from vividface.training import node
from vividface.training.job import write_job
from vividface.training.launcher import launch
from vividface.training.node import node_command

from .helpers import state_names

_LAUNCH = """
import sys
from pathlib import Path
from vividface.training.job import read_job
from vividface.training.launcher import launch
from vividface.workflow.logs import rule_log
job = read_job(Path(sys.argv[1]))
with rule_log(job.log):
    launch(job)
"""


def test_a_signal_to_the_launcher_stops_all_processes_and_saves(make_job, tmp_path):
    job = make_job(tmp_path, {"iterations": 2000, "log_every": 20}, num_processes=2, threads=2)
    write_job(job)
    process = subprocess.Popen([sys.executable, "-c", _LAUNCH, job.file])
    wait_until(lambda: job.log.exists() and "step 20 of" in job.log.read_text(), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == os.EX_TEMPFAIL
    last = job.log.read_text().splitlines()[-1]
    assert last.startswith("stopped by a signal after step ")
    assert last.endswith("run it again to resume from there")
    assert len(state_names(job)) >= 1


def test_what_a_process_finds_wrong_is_what_the_launcher_says(make_job, tmp_path):
    job = make_job(tmp_path, latents=[tmp_path / "absent.safetensors"])
    (tmp_path / "absent.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"absent\.safetensors: holds no latents"):
        launch(job)


def test_the_nodes_of_a_slurm_job_find_each_other(make_job, monkeypatch, tmp_path):
    job = make_job(tmp_path, num_nodes=2, num_processes=4, device="cuda", threads=32)
    monkeypatch.setattr(node, "_address", lambda hosts: hosts.split(",")[0])
    environment = {
        "SLURM_NODEID": "1",
        "SLURM_NNODES": "2",
        "SLURM_JOB_ID": "70123",
        "SLURM_JOB_NODELIST": "gpu7,gpu9",
    }
    command = node_command(job, job.file, environment)
    options = dict(itertools.pairwise(command))
    assert options["--num_processes"] == "8"
    assert options["--num_machines"] == "2"
    assert options["--machine_rank"] == "1"
    assert options["--num_cpu_threads_per_process"] == "8"
    assert options["--main_process_ip"] == "gpu7"
    assert options["--main_process_port"] == "30123"
    assert "--multi_gpu" in command
    assert command[-2:] == ["vividface.training.worker", str(job.file)]
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(InputError, match="a training on 2 nodes is to run in a SLURM job"):
        launch(job)
    with pytest.raises(InputError, match="the SLURM job has 1 nodes"):
        node_command(job, job.file, environment | {"SLURM_NNODES": "1"})
