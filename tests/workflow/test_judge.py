"""Bringing Qwen2.5-VL, as the paper's configuration does, from a local Hub."""

import json
import subprocess
import sys

import pytest
from plans import plan_jobs

pytestmark = pytest.mark.workflow

COMMIT = "c" * 40
REPO = "Qwen/Qwen2.5-VL-7B-Instruct"
FOLDER = "weights/qwen2.5-vl-7b-instruct"


@pytest.fixture
def snakemake(repository, tmp_path):
    def run(*arguments):
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(repository / "Snakefile")),
            *("--directory", str(tmp_path), "--cores", "2", *arguments),
        ]
        return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)

    return run


def test_the_judges_model_is_brought_once(hub_server, snakemake, tmp_path):
    files = {"config.json": b"{}", "model.safetensors": b"weights", "merges.txt": b"", "picture.png": b"no"}
    hub_server.serve_repository(REPO, files, commit=COMMIT)
    result = snakemake(f"{FOLDER}/config.json")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / FOLDER / "model.safetensors").read_bytes() == b"weights"
    assert not (tmp_path / FOLDER / "picture.png").exists()
    lock = json.loads((tmp_path / "configs/locks/judge.json").read_text())
    assert lock == {f"models/{REPO}@main": COMMIT}


def test_scoring_waits_for_the_model_and_a_wrong_rubric_stops_at_once(snakemake, repository, tmp_path):
    jobs = plan_jobs(repository, tmp_path, [], ["data/selection/face90.parquet"])
    assert "fetch_judge" in {job.rule.name for job in jobs}
    (tmp_path / "overlay.yaml").write_text("filter: {rubric: mine.yaml}")
    result = snakemake("--configfile", str(tmp_path / "overlay.yaml"), "--dry-run", "--", "all")
    assert result.returncode != 0
    assert "filter.rubric: there is no rubric 'mine.yaml'" in result.stdout + result.stderr
