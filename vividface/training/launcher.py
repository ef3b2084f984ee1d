"""Running a training's processes to their end, on this machine or on the nodes of a SLURM job."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping

from vividface.errors import InputError
from vividface.training.job import TrainingJob, write_job
from vividface.training.outcome import clear_outcomes, raise_outcome
from vividface.training.signals import SHIELD, on_signal

logger = logging.getLogger(__name__)


def launch(job: TrainingJob) -> None:
    """Run a training to its end.

    A signal (SIGTERM, SIGUSR1, SIGINT) makes all processes save their state and stop.

    Args:
        job: description of the training, which is left in the job's folder.

    Raises:
        InputError: a process met bad input, or several nodes are asked for outside of SLURM.
        StoppedError: a signal came; the state is saved.
        RuntimeError: a process failed otherwise.
    """
    write_job(job)
    clear_outcomes(job.folder)
    job.paths.stop.unlink(missing_ok=True)
    logger.info("nodes: %d, processes on each: %d", job.num_nodes, job.num_processes)
    command, environment = [sys.executable, "-m", "vividface.training.node", str(job.file)], dict(os.environ)
    if job.num_nodes > 1:
        command = [*_on_every_node(job.num_nodes, environment), *command]
        environment = _without_step(environment)
    try:
        with on_signal(job.paths.stop.touch), job.log.open("a") as log:
            status = subprocess.run(
                [*SHIELD, *command], stdout=log, stderr=log, env=environment, check=False
            ).returncode
    finally:
        job.paths.stop.unlink(missing_ok=True)
    raise_outcome(job.folder)
    if status:
        raise RuntimeError(
            f"a process of the training ended with status {status}; if there is no traceback above, it was "
            "killed, most likely for want of memory: lower micro_batch"
        )


def _on_every_node(nodes: int, environment: Mapping[str, str]) -> list[str]:
    """What starts a command once on each node of this SLURM job.

    Raises:
        InputError: this is not a SLURM job.
    """
    job_id = environment.get("SLURM_JOB_ID")
    if job_id is None:
        raise InputError(
            f"a training on {nodes} nodes is to run in a SLURM job: use the profile slurm, or one node"
        )
    # The rule's step holds all that the job was granted.
    options = ("--overlap", "--kill-on-bad-exit=1", "--jobid", job_id)
    return ["srun", *options, "--nodes", str(nodes), "--ntasks", str(nodes), *SHIELD]


def _without_step(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what SLURM sets in a step: the rule's has one node, the new one several."""
    return {
        name: value
        for name, value in environment.items()
        if name == "SLURM_CONF" or not name.startswith(("SLURM_", "SRUN_"))
    }
