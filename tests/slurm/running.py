"""Snakemake on a cluster, and what SLURM says."""

import subprocess
import sys
import time

import pytest
import yaml


def slurm(*command):
    """What a command of SLURM prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def jobs():
    """The ids of the jobs that wait or run."""
    return slurm("squeue", "--noheader", "--format", "%i").split()


def wait_until(condition, seconds=120, what=""):
    """Until a condition holds; returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, what or condition
        time.sleep(0.5)
    return value


def write_profile(folder, values):
    """Write a profile to `folder/slurm`."""
    (folder / "slurm").mkdir(exist_ok=True)
    (folder / "slurm" / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


class Run:
    """`snakemake --profile slurm ...` in a folder, and what it says."""

    def __init__(self, folder, *arguments):
        self.log = folder / f"snakemake-{len(list(folder.glob('snakemake-*')))}.log"
        command = (sys.executable, "-m", "snakemake", "--profile", "slurm", *map(str, arguments))
        with self.log.open("w") as file:
            self.process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file)

    def said(self):
        return self.log.read_text()

    def wait(self, seconds=400):
        """Its status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"snakemake did not end: {self.said()[-6000:]}")

    def submitted(self):
        """The ids of SLURM of its jobs so far; an array's are those of its tasks' common job."""
        words = self.said().replace("SLURM job ID ", "SLURM jobid ").split("SLURM jobid ")[1:]
        return [word.split()[0].rstrip(".") for word in words]
