"""Published methods in the real workflow: one that runs, and one that may not."""

import copy

import pandas as pd
import pytest
import yaml
from evaluation.methods.stub import PROGRAM, STOPPING, describe, make_repository

from vividface.downloads import cache_directory
from vividface.evaluation.runs import Run

pytestmark = pytest.mark.workflow
TARGETS = [f"results/metrics/test/{method}.parquet" for method in ("stub", "keep")]


@pytest.fixture
def workspace(make_workspace, tmp_path, monkeypatch):
    """The tiny experiment with two methods; what they need goes to a cache of the test's."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/weights").symlink_to(cache_directory() / "weights")
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "cache"))
    commit = make_repository(tmp_path / "code", {"restore.py": PROGRAM})
    description = tmp_path / "stub.yaml"
    description.write_text(yaml.safe_dump(describe(tmp_path / "code", commit, "videos")))
    workspace = make_workspace()
    workspace.overlay = copy.deepcopy(workspace.overlay)
    workspace.overlay["evaluation"] = {
        "baselines": ["bicubic"],
        "metrics": ["psnr_rgb"],
        "methods": {
            "stub": {"kind": "published", "description": str(description)},
            "keep": {"kind": "published"},
        },
    }
    return workspace


def test_one_that_runs_has_values_and_one_that_may_not_says_why(workspace):
    result = workspace.snakemake(*TARGETS)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    stub, keep = (pd.read_parquet(workspace.folder / target) for target in TARGETS)
    assert stub["value"].notna().all()
    assert keep["value"].isna().all()
    reason = Run.read(workspace.folder / "results/restored/test/keep").missing
    assert "s-lab-1.0 (S-Lab License 1.0, not for commercial use) is not accepted" in reason
    assert set(keep["reason"]) == {reason}
    assert "model took 1.5 s" in (workspace.folder / "logs/run_method/test/stub.log").read_text()
    assert workspace.planned(*TARGETS) == {}
    workspace.overlay["evaluation"]["accept_licences"] = ["s-lab-1.0"]
    assert workspace.planned(*TARGETS) == {"fetch_method": 1, "run_method": 1, "measure": 1}


def test_a_stopped_rule_is_resumed_at_its_clip(workspace, tmp_path):
    """Snakemake removes the outputs of a job that failed; what it has restored is not among them."""
    commit = make_repository(tmp_path / "stopping", {"restore.py": STOPPING + PROGRAM})
    description = tmp_path / "stub.yaml"
    description.write_text(yaml.safe_dump(describe(tmp_path / "stopping", commit, "video")))
    workspace.overlay["datasets"]["test"]["max_clips"] = 3
    folder = workspace.folder / "results/restored/test"
    assert workspace.snakemake("data/methods/stub.json").returncode == 0
    (source,) = (tmp_path / "cache/methods/stub").glob("source-*")
    (source / "stop").write_text("c0001p000")
    result = workspace.snakemake("results/restored/test/stub")
    assert result.returncode == 1
    assert not (folder / "stub").exists()
    assert len(list((folder / "stub.partial").glob("*.mkv"))) == 1
    (source / "stop").unlink()
    result = workspace.snakemake("results/restored/test/stub")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    given = (source / "runs").read_text().split()
    assert given == ["c0000p000", "c0001p000", "c0001p000", "c0002p000"]
    assert len(Run.read(folder / "stub").num_frames) == 3
    assert not (folder / "stub.partial").exists()
