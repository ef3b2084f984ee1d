"""Snakemake on a cluster, and what SLURM says."""

import contextlib
import subprocess
import sys
import time

import pytest
import yaml

# s without a change of the queue or of any log, which are taken for a hang.
PATIENCE = 600


def slurm(*command):
    """What a command of SLURM prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def jobs():
    """The ids of the jobs that wait or run."""
    return slurm("squeue", "--noheader", "--format", "%i").split()


def _log_sizes(folder):
    sizes = []
    for path in sorted(folder.rglob("*.log")):
        # Snakemake removes the logs of jobs that went well.
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sizes


def wait_until(condition, what, folder):
    """Until a condition holds, however long that takes while something changes.

    Args:
        condition: function without arguments.
        what: words for it.
        folder: folder of the run, whose logs grow while something happens.
    """
    seen, since = None, time.monotonic()
    while not condition():
        state = slurm("squeue", "--noheader", "--format", "%i %T"), _log_sizes(folder)
        if state != seen:
            seen, since = state, time.monotonic()
        assert time.monotonic() < since + PATIENCE, f"never: {what}"
        time.sleep(0.5)


def write_profile(folder, values):
    """Write a profile to `folder/slurm`."""
    (folder / "slurm").mkdir(exist_ok=True)
    (folder / "slurm" / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


class Run:
    """`snakemake --profile slurm ...` in a folder, and what it says."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        self.log = folder / f"snakemake-{len(list(folder.glob('snakemake-*')))}.log"
        command = (sys.executable, "-m", "snakemake", "--profile", "slurm", *map(str, arguments))
        with self.log.open("w") as file:
            self.process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file)

    def said(self):
        return self.log.read_text()

    def wait(self):
        """Its status."""
        try:
            wait_until(lambda: self.process.poll() is not None, "Snakemake ends", self.folder)
        except AssertionError:
            self.process.kill()
            pytest.fail(f"Snakemake does not end: {self.said()[-6000:]}")
        return self.process.returncode

    def submitted(self):
        """The ids of SLURM of its jobs so far; an array's are those of its tasks' common job."""
        words = self.said().replace("SLURM job ID ", "SLURM jobid ").split("SLURM jobid ")[1:]
        return [word.split()[0].rstrip(".") for word in words]
