"""A real SLURM, and the project's profile with sizes that fit its two small nodes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from .running import write_profile

CLUSTER = Path(__file__).parent / "cluster.sh"
# Of a node: 2 CPUs and 9,000 MB.
MEMORY, THREADS = 2000, 1


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster():
    """`cluster("restart-controller")` and the like; it runs until the tests end."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch"))):
        pytest.skip("SLURM is not installed (Debian's package slurm-wlm)")
    if os.geteuid() != 0:
        pytest.skip("a cluster for tests is started by root alone")

    def command(verb):
        subprocess.run([CLUSTER, verb], check=True)

    command("start")
    yield command
    command("stop")


@pytest.fixture
def profile(repository, tmp_path):
    """The project's profile in `tmp_path/slurm`, fitted to the nodes: its values, as rows by rule."""
    values = yaml.safe_load((repository / "slurm" / "config.yaml").read_text())
    for row in values["set-resources"].values():
        row["mem_mb"] = f"{MEMORY} * attempt"
        row["runtime"] = "60 * attempt"
        if "gpu" in row:
            row["gpu"] = 1
    values["set-threads"] = dict.fromkeys(values["set-threads"], THREADS)
    values["default-resources"] = {"mem_mb": MEMORY, "runtime": 60}
    values |= {
        "latency-wait": 5,
        "slurm-init-seconds-before-status-checks": 2,
        "slurm-status-command": "squeue",
    }
    write_profile(tmp_path, values)
    return values
