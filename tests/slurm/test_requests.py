"""What the profile, as it is, asks SLURM for: a `sbatch` that writes down its arguments and refuses."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("slurm")]

_SBATCH = """#!/bin/sh
for argument in "$@"; do case $argument in --wrap*) ;; *) printf '%s ' "$argument" ;; esac; done >> {calls}
echo >> {calls}
echo 'it is only written down' >&2
exit 1
"""


@pytest.fixture
def table(repository):
    return yaml.safe_load((repository / "slurm" / "config.yaml").read_text())


@pytest.fixture
def requests(cluster, repository, tmp_path, monkeypatch):
    """`requests(rules, targets)`: the lines of sbatch at the paper's scale; profile: `tmp_path/slurm`."""
    calls = tmp_path / "calls"
    shim = tmp_path / "bin" / "sbatch"
    shim.parent.mkdir()
    shim.write_text(_SBATCH.format(calls=shlex.quote(str(calls))))
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.environ['PATH']}")
    shutil.copytree(repository / "slurm", tmp_path / "slurm")

    def run(rules, targets):
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(repository / "Snakefile")),
            *("--profile", "slurm", "--slurm-status-command", "squeue"),
            *("--slurm-init-seconds-before-status-checks", "1", "--allowed-rules", *rules, "--", *targets),
        ]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode != 0
        assert "it is only written down" in result.stdout + result.stderr
        return [shlex.split(line) for line in calls.read_text().splitlines()]

    return run


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def test_every_rule_that_is_not_local_has_a_row(repository, table):
    files = [repository / "Snakefile", *sorted((repository / "rules").glob("*.smk"))]
    text = "\n".join(path.read_text() for path in files)
    rules = re.findall(r"^ *rule (\w+):\n(.*?)(?=^ *rule \w+:|^localrules:|\Z)", text, re.M | re.S)
    local = {name for name, body in rules if "localrule: True" in body}
    for names in re.findall(r"^localrules:\n((?:    \w+,\n)+)", text, re.M):
        local |= set(re.findall(r"\w+", names))
    assert {"all", "fetch_dataset", "fetch_pretrained"} <= local
    assert {name for name, _ in rules} - local == set(table["set-resources"])


def test_memory_and_time_grow_with_each_try(requests, tmp_path):
    touch(tmp_path, "data/vfhq/clips.parquet", "data/vfhq/hq/0003/clip.mkv")
    lines = requests(["degrade"], ["data/vfhq/lq/0003"])
    assert len(lines) == 4, "three retries"
    asked = [(line[line.index("--mem") + 1], line[line.index("-t") + 1]) for line in lines]
    assert asked == [("8000", "120"), ("16000", "240"), ("24000", "360"), ("32000", "480")]
    assert lines[0][lines[0].index("-p") + 1] == "cpu"
    assert "--cpus-per-task=8" in lines[0]
    assert not any(word.startswith("--gpus") for word in lines[0])
    assert str(tmp_path / "logs/slurm") in lines[0][lines[0].index("--output") + 1]


def test_a_training_asks_for_what_the_site_offers(requests, tmp_path):
    """The table after the edits of docs/cluster.md: the site's names, and a training on two nodes."""
    profile = tmp_path / "slurm" / "config.yaml"
    text = profile.read_text()
    for before, after in (
        ("      slurm_partition: gpu\n", "      slurm_partition: long\n      gpu_model: a100\n"),
        ("  # slurm_account: my_project\n", "  slurm_account: faces\n"),
        (
            "  latent_stage:    { <<: [*gpu, *training], nodes: 1, gpu: 8,",
            "  latent_stage: { <<: [*gpu, *training, *several], nodes: 2, tasks: 2, gpu: 16,",
        ),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    profile.write_text(text)
    weights = "weights/wan2.1-t2v-1.3b"
    latents = [f"data/vfhq/latents/{shard:04d}.safetensors" for shard in range(32)]
    parts = [f"{weights}/{part}/config.json" for part in ("transformer", "vae")]
    tables = ["data/vfhq/clips.parquet", "data/selection/face90.parquet"]
    touch(tmp_path, *tables, f"{weights}/empty_prompt.safetensors", *latents, *parts)
    line = requests(["latent_stage"], ["checkpoints/main/latent_stage"])[0]
    asked = {"--nodes=2", "--ntasks=2", "--gpus=a100:16", "--cpus-per-task=64", "--signal=TERM@120"}
    assert asked <= set(line)
    assert line[line.index("-A") + 1] == "faces"
    assert line[line.index("-p") + 1] == "long"
