"""The real Snakefile on a real SLURM, with the project's profile."""

import re
import shutil

import pandas as pd
import pytest
import yaml

from vividface.models.checkpoints import load_checkpoint

from .running import Run, jobs, slurm, wait_until, write_profile

CHECKPOINT = "checkpoints/main/latent_stage"
pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("slurm")]


@pytest.fixture(scope="session")
def workspace(make_workspace):
    """A folder with videos, and the overlay of a tiny experiment with one variant."""
    return make_workspace()


def snakemake(workspace, *arguments):
    """`snakemake --profile slurm` in the workspace's folder, whose `slurm/` is the fitted profile."""
    overlay = workspace.folder / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(workspace.overlay))
    demo = workspace.repository / "configs" / "demo.yaml"
    snakefile = ("--snakefile", workspace.repository / "Snakefile")
    return Run(workspace.folder, *snakefile, "--configfile", demo, overlay, "--", *arguments)


def test_the_whole_demo_with_the_controller_restarted_in_the_middle(cluster, workspace, profile):
    """Every job's id is SLURM's, and it was granted what the profile's table asks for."""
    folder, gpus = workspace.folder, {name: row.get("gpu") for name, row in profile["set-resources"].items()}
    write_profile(folder, profile)
    run = snakemake(workspace, "all")
    wait_until(lambda: jobs() and (folder / "data/mine/clips.parquet").exists(), "jobs run", folder)
    cluster("restart-controller")
    assert run.wait() == 0, run.said()[-6000:]
    assert (folder / "results/report.html").exists()
    submitted = set(run.submitted())
    found = {}
    for log in sorted((folder / "logs").glob("**/*.log")):
        first = log.read_text().partition("\n")[0]
        rule = log.relative_to(folder / "logs").parts[0].removesuffix(".log")
        if rule != "slurm":
            found.setdefault(rule, []).append(first)
    local = {"fetch_weights", "fetch_dataset", "find_shared", "plan_clips", "gather_clips", "select_clips"}
    others = {"extract_lq", "import_results", "run_method", "empty_prompt"}
    others |= {"repeat_scores", "clip_quality", "study_sets", "filter_study"}
    assert set(found) == local | set(gpus) - others
    for rule, lines in found.items():
        for line in lines:
            match = re.fullmatch(r"SLURM job (\d+) on (one|two), GPUs: (.*)", line)
            assert bool(match) == (rule not in local), (rule, line)
            if match:
                # A group's rules share what the group was granted.
                grouped = profile["groups"].get(rule) is not None
                assert grouped or (match[3] in ("0", "1")) == bool(gpus[rule]), (rule, line)
    assert submitted
    assert not jobs()
    again = snakemake(workspace, "all")
    assert again.wait() == 0
    assert "Nothing to be done" in again.said()


def test_a_training_that_is_told_to_stop_goes_on_where_it_was(cluster, workspace, profile):
    """As SLURM tells it before its time is over (`slurm_extra` in the profile): TERM to all its processes."""
    assert profile["set-resources"]["latent_stage"]["slurm_extra"] == "'--signal=TERM@120'"
    stage = {**workspace.overlay["latent_stage"], "iterations": 300, "log_every": 10}
    workspace.overlay = {**workspace.overlay, "latent_stage": stage}
    write_profile(workspace.folder, profile)
    run = snakemake(workspace, CHECKPOINT)
    folder = workspace.folder
    log = folder / "logs/latent_stage/main.log"
    wait_until(lambda: log.exists() and "step 20 of 300" in log.read_text(), "the training runs", folder)
    (job,) = jobs()
    slurm("scancel", "--signal=TERM", job)
    wait_until(lambda: "stopped by a signal" in log.read_text(), "the state is saved", folder)
    step = int(re.search(r"stopped by a signal after step (\d+)", log.read_text())[1])
    assert run.wait() == 0, run.said()[-6000:]
    assert int(re.search(r"resumed from .* at step (\d+)", log.read_text())[1]) == step
    assert "step 300 of 300" in log.read_text()


def test_a_training_on_two_nodes_is_that_of_two_processes_on_one(cluster, workspace, profile):
    """The one is this machine, without SLURM."""
    stage = {**workspace.overlay["latent_stage"], "batch_size": 2, "iterations": 6}
    workspace.overlay = {**workspace.overlay, "latent_stage": stage}
    row, several = profile["set-resources"]["latent_stage"], profile["__variables__"]["several"]
    profile["set-resources"]["latent_stage"] = row | {"nodes": 2, "tasks": 2, "gpu": 2, **several}
    write_profile(workspace.folder, profile)
    run = snakemake(workspace, CHECKPOINT)
    assert run.wait() == 0, run.said()[-6000:]
    log = workspace.folder / "logs/latent_stage/main.log"
    assert "nodes: 2, processes on each: 1" in log.read_text()
    curve = pd.read_csv(workspace.folder / f"{CHECKPOINT}.csv")["loss"]
    load_checkpoint(workspace.folder / CHECKPOINT)
    shutil.rmtree(workspace.folder / CHECKPOINT)
    local = workspace.snakemake("--set-resources", "latent_stage:gpu=2", "--", CHECKPOINT)
    assert local.returncode == 0, local.stdout[-4000:] + local.stderr[-4000:]
    assert "nodes: 1, processes on each: 2" in log.read_text()
    other = pd.read_csv(workspace.folder / f"{CHECKPOINT}.csv")["loss"]
    assert list(curve) == pytest.approx(list(other), rel=1e-5)
