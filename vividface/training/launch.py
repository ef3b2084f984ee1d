"""Starting a training's processes through accelerate, on one machine or on the nodes of a SLURM job."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from vividface.errors import InputError, StoppedError
from vividface.training.jobs import Job, read_job, write_job

logger = logging.getLogger(__name__)

_WORKER = "vividface.training.worker"
# accelerate's launcher would die of these and leave its processes behind; those save their state instead.
_SHIELD = ["sh", "-c", 'trap "" TERM USR1 INT; exec "$@"', "sh"]
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


def shape(resources: Mapping[str, Any], batch_size: int) -> dict[str, int]:
    """On how many processes a training runs: one for each GPU that was granted, or else for each task.

    Args:
        resources: of the rule: `nodes`, `gpu` (of all nodes together) and `tasks` (likewise).
        batch_size: of all processes together; GPUs that cannot have an equal share of it are left idle.

    Returns:
        `nodes`, and `processes` on each of them.
    """
    nodes = resources.get("nodes", 1)
    granted = max((resources.get("gpu", 0) or resources.get("tasks", 1)) // nodes, 1)
    processes = next((n for n in range(granted, 1, -1) if batch_size % (n * nodes) == 0), 1)
    if processes < granted:
        logger.warning("a batch of %d is shared by %d of %d processes", batch_size, processes, granted)
    return {"nodes": nodes, "processes": processes}


def launch(job: Job, log: Path, threads: int = 1, device: str = "cpu") -> None:
    """Run a training to its end.

    A signal (SIGTERM, SIGUSR1, SIGINT) makes all processes save their state and stop.

    Args:
        job: what to train.
        log: file that the processes append to.
        threads: of this machine's CPU, for all its processes together.
        device: `cpu` or `cuda`, where each process takes a GPU.

    Raises:
        InputError: what a process found wrong.
        StoppedError: a signal came; the state is saved.
        RuntimeError: a process failed otherwise.
    """
    folder = job.folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*folder.glob("outcome-*.json"), folder / "stop"]:
        path.unlink(missing_ok=True)
    path = folder / "job.json"
    write_job(path, job)
    logger.info("nodes: %d, processes on each: %d", job.nodes, job.processes)
    each = str(max(threads // job.processes, 1))
    command = [sys.executable, "-m", __spec__.name, str(path), device, each]
    environment = dict(os.environ)
    if job.nodes > 1:
        command = [*_on_every_node(job.nodes, environment), *command]

    def stop(_: int, __: FrameType | None) -> None:
        (folder / "stop").touch()

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        with Path(log).open("a") as file:
            status = subprocess.run(
                [*_SHIELD, *command], stdout=file, stderr=file, env=environment, check=False
            ).returncode
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        (folder / "stop").unlink(missing_ok=True)
    outcomes = [json.loads(path.read_text()) for path in sorted(folder.glob("outcome-*.json"))]
    for kind, error in (("error", InputError), ("stopped", StoppedError)):
        for outcome in outcomes:
            if kind in outcome:
                raise error(outcome[kind])
    if status:
        raise RuntimeError(
            f"a process of the training ended with status {status}; if there is no traceback above, it was "
            "killed, most likely for want of memory: lower micro_batch"
        )


def _on_every_node(nodes: int, environment: dict[str, str]) -> list[str]:
    """What starts a command once on each node of this SLURM job; makes the environment fit for it.

    Raises:
        InputError: this is not a SLURM job.
    """
    job_id = environment.get("SLURM_JOB_ID")
    if job_id is None:
        raise InputError(
            f"a training on {nodes} nodes is to run in a SLURM job: use the profile slurm, or one node"
        )
    # A rule runs in a step of one node, and what SLURM sets in it would hold for the new step as well.
    for name in [name for name in environment if name.startswith(("SLURM_", "SRUN_"))]:
        if name != "SLURM_CONF":
            del environment[name]
    # The rule's step holds all that the job was granted.
    shared = ("--overlap", "--kill-on-bad-exit=1")
    return ["srun", "--jobid", job_id, "--nodes", str(nodes), "--ntasks", str(nodes), *shared, *_SHIELD]


def node_command(
    job: Job, path: Path, device: str, threads: str, environment: Mapping[str, str]
) -> list[str]:
    """The command that starts a node's processes.

    Args:
        job: what to train.
        path: its file.
        device: `cpu` or `cuda`.
        threads: of each process.
        environment: of this node's task: several nodes find each other through what SLURM sets in it.

    Raises:
        InputError: SLURM started another number of nodes.
    """
    nodes, total = job.nodes, job.nodes * job.processes
    precision = job.stage.precision
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--num_processes", str(total), "--num_machines", str(nodes), "--dynamo_backend", "no"),
        *("--mixed_precision", precision, "--num_cpu_threads_per_process", threads),
    ]
    # The launcher of several processes is named after GPUs; it starts those of CPUs as well.
    if total > 1:
        command.append("--multi_gpu")
    elif device == "cpu":
        command.append("--cpu")
    if nodes > 1:
        rank, there = environment["SLURM_NODEID"], int(environment["SLURM_NNODES"])
        job_id, hosts = int(environment["SLURM_JOB_ID"]), environment["SLURM_JOB_NODELIST"]
        if there != nodes:
            raise InputError(f"the training is to run on {nodes} nodes, but the SLURM job has {there} nodes")
        # The same free port on all nodes, and another one for each job that shares them.
        address = ("--main_process_ip", _address(hosts), "--main_process_port", str(20000 + job_id % 20000))
        command += ["--machine_rank", rank, "--same_network", *address, "--rdzv_backend", "static"]
    elif total > 1:
        command += ["--main_process_port", "0"]
    return [*command, "--module", _WORKER, str(path)]


def _address(hosts: str) -> str:
    """Where SLURM reaches the first node of a list in its notation."""

    def show(*what: str) -> str:
        command = ["scontrol", "--oneliner", "show", *what]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first = show("hostnames", hosts).split()[0]
    return show("node", first).partition("NodeAddr=")[2].split()[0]


def main(path: Path, device: str, threads: str) -> int:
    """Start this node's processes; returns their status."""
    job = read_job(path)
    try:
        command = node_command(job, path, device, threads, os.environ)
    except InputError as error:
        (job.folder / "outcome-9999.json").write_text(json.dumps({"error": str(error)}))
        return 1
    cpu = {"ACCELERATE_USE_CPU": "true"} if device == "cpu" else {}
    return subprocess.run(command, env=os.environ | cpu, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:4]))
