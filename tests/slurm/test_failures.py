"""Jobs that end badly, on a real SLURM with the project's profile: retried, and the run ends well."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .running import Run, jobs, slurm, wait_until, write_profile

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("slurm")]

_SNAKEFILE = """
rule all:
    input: [f"{kind}.txt" for kind in ("cancelled", "requeued", "killed", "late", "large")]

rule cancelled:
    output: "cancelled.txt"
    shell: "echo {resources.mem_mb} >> {rule}.tries; [ -e go ] || {{ touch wait; sleep 3600; }};"
           "touch {output}"

rule requeued:
    output: "requeued.txt"
    shell: "echo {resources.mem_mb} >> {rule}.tries; "
           "[ -e {rule}.once ] || {{ touch {rule}.once; sleep 3600; }}; touch {output}"

rule killed:
    output: "killed.txt"
    shell: "echo {resources.mem_mb} >> {rule}.tries; "
           "[ -e {rule}.once ] || {{ touch {rule}.once; kill -9 $$; }}; touch {output}"

rule late:
    output: "late.txt"
    shell: "echo {resources.runtime} >> {rule}.tries; "
           "[ -e {rule}.once ] || {{ touch {rule}.once; sleep 3600; }}; touch {output}"

rule large:
    output: "large.txt"
    shell: "echo {resources.mem_mb} >> {rule}.tries; "
           "seconds=12; [ -e {rule}.once ] || {{ touch {rule}.once; seconds=3600; }}; "
           "PYTHON -c 'import sys, time; held = bytearray(600 << 20); time.sleep(int(sys.argv[1]))' "
           "$seconds; touch {output}"
"""


def tries(folder, rule):
    return [int(line) for line in (folder / f"{rule}.tries").read_text().split()]


def job_of(rule, run):
    """The id of SLURM of a rule's job."""
    return re.search(rf"rule_{rule}/(\d+)\.log", run.said())[1]


def test_jobs_that_end_badly_are_retried_with_more(cluster, profile, tmp_path):
    """Cancelled, requeued, killed, out of time, out of memory: all at once, since each takes SLURM minutes.

    SLURM requeues the jobs of a node that fails, and those that it pre-empts: it starts the same job again.
    """
    (tmp_path / "Snakefile").write_text(_SNAKEFILE.replace("PYTHON", sys.executable))
    row = {"slurm_partition": "cpu", "mem_mb": "400 * attempt", "runtime": "60 * attempt"}
    rows = dict.fromkeys(("cancelled", "requeued", "killed", "late", "large"), row)
    rows["late"] = row | {"runtime": "1 * attempt"}
    write_profile(tmp_path, profile | {"set-resources": rows})
    run = Run(tmp_path, "all")
    wait_until((tmp_path / "wait").exists, "the job to cancel runs", tmp_path)
    (tmp_path / "go").touch()
    slurm("scancel", job_of("cancelled", run))
    wait_until((tmp_path / "requeued.once").exists, "the job to requeue runs", tmp_path)
    slurm("scontrol", "requeue", job_of("requeued", run))
    assert run.wait() == 0, run.said()[-6000:]
    assert tries(tmp_path, "cancelled") == [400, 800]
    assert tries(tmp_path, "requeued") == [400, 400], "of the same job"
    assert tries(tmp_path, "killed") == [400, 800]
    assert tries(tmp_path, "late") == [1, 2]
    assert tries(tmp_path, "large") == [400, 800]
    assert not jobs()


_SLOW = """
rule all:
    input: "slow.txt"

rule slow:
    output: "slow.txt"
    shell: "echo half > {output}; touch running; [ -e go ] || sleep 3600; echo whole > {output}"
"""


@pytest.fixture
def slow(cluster, profile, tmp_path):
    (tmp_path / "Snakefile").write_text(_SLOW)
    write_profile(tmp_path, profile | {"set-resources": {"slow": {"slurm_partition": "cpu"}}})
    run = Run(tmp_path, "all")
    wait_until((tmp_path / "running").exists, "the job runs", tmp_path)
    yield run
    run.process.kill()
    subprocess.run(["scancel", *jobs()], check=False)


def test_ctrl_c_cancels_what_was_submitted(slow, tmp_path):
    assert jobs()
    slow.process.send_signal(signal.SIGINT)
    assert slow.wait() != 0
    wait_until(lambda: not jobs(), "the job is cancelled", tmp_path)
    assert not (tmp_path / "slow.txt").exists(), "nothing half made is left"


def test_a_run_goes_on_after_snakemake_itself_was_killed(slow, tmp_path):
    """As docs/cluster.md says: cancel the run's jobs, unlock, run again."""
    name = re.search(r"SLURM run ID: (\S+)", slow.said())[1]
    slow.process.kill()
    slow.process.wait()
    assert jobs(), "SLURM goes on without it"
    # Nothing that runs in the job may tidy up, as when its node loses its power.
    kill_all_in(tmp_path)
    slurm("scancel", "--name", name)
    wait_until(lambda: not jobs(), "the job is cancelled", tmp_path)
    assert (tmp_path / "slow.txt").read_text() == "half\n", "what the job had made"
    assert list((tmp_path / ".snakemake/incomplete").iterdir()), "Snakemake knows that it is incomplete"
    (tmp_path / "go").touch()
    again = Run(tmp_path, "all")
    assert again.wait() != 0
    assert "--unlock" in again.said()
    assert Run(tmp_path, "--unlock").wait() == 0
    last = Run(tmp_path, "all")
    assert last.wait() == 0, last.said()[-6000:]
    assert (tmp_path / "slow.txt").read_text() == "whole\n"


def kill_all_in(folder):
    """SIGKILL to all processes that work in a folder, until there are none."""
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                inside = (process / "cwd").readlink() == folder
                if inside and "zombie" not in (process / "status").read_text():
                    found.append(int(process.name))
            except OSError:  # it has ended meanwhile
                continue
        if not found:
            return
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.2)
