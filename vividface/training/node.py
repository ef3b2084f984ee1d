"""Starting a training's processes on one node: `python -m vividface.training.node JOB`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from vividface.errors import InputError
from vividface.training.job import TrainingJob, read_job
from vividface.training.outcome import write_outcome


def main(path: Path) -> int:
    """Run the processes of this node to their end; returns the exit status."""
    job = read_job(path)
    try:
        command = node_command(job, path, os.environ)
    except InputError as error:
        write_outcome(job.folder, "node", error)
        return 1
    cpu = {"ACCELERATE_USE_CPU": "true"} if job.device == "cpu" else {}
    return subprocess.run(command, env=os.environ | cpu, check=False).returncode


def node_command(job: TrainingJob, path: Path, environment: Mapping[str, str]) -> list[str]:
    """The command that starts a node's processes.

    Args:
        job: description of the training.
        path: file of the description.
        environment: environment of this node's task: several nodes find each other through what SLURM sets.

    Raises:
        InputError: SLURM started another number of nodes.
    """
    num_processes = job.num_nodes * job.num_processes
    threads = max(job.threads // job.num_processes, 1)
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--num_processes", str(num_processes), "--num_machines", str(job.num_nodes)),
        *("--mixed_precision", job.stage.precision, "--dynamo_backend", "no"),
        *("--num_cpu_threads_per_process", str(threads)),
    ]
    # accelerate's launcher of several processes is named after GPUs; it starts those of CPUs as well.
    if num_processes > 1:
        command.append("--multi_gpu")
    elif job.device == "cpu":
        command.append("--cpu")
    if job.num_nodes > 1:
        command += _rendezvous(job.num_nodes, environment)
    elif num_processes > 1:
        command += ["--main_process_port", "0"]
    return [*command, "--module", "vividface.training.worker", str(path)]


def _rendezvous(nodes: int, environment: Mapping[str, str]) -> list[str]:
    """The options by which the nodes of a SLURM job find each other."""
    if (granted := int(environment["SLURM_NNODES"])) != nodes:
        raise InputError(
            f"the training is to run on {nodes} nodes, but the SLURM job has {granted} nodes; ask for as many"
        )
    # The same free port on all nodes, and another one for each job that shares them.
    port = 20000 + int(environment["SLURM_JOB_ID"]) % 20000
    return [
        *("--machine_rank", environment["SLURM_NODEID"], "--same_network", "--rdzv_backend", "static"),
        *("--main_process_ip", _address(environment["SLURM_JOB_NODELIST"])),
        *("--main_process_port", str(port)),
    ]


def _address(hosts: str) -> str:
    """Where SLURM reaches the first node of a list in its notation."""

    def show(*what: str) -> str:
        command = ["scontrol", "--oneliner", "show", *what]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first = show("hostnames", hosts).split()[0]
    return show("node", first).partition("NodeAddr=")[2].split()[0]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
