"""A published method that is stopped, in the real workflow."""

import copy

import pytest
import yaml
from evaluation.methods.stub import PROGRAM, STOPPING, describe, make_repository

from vividface.downloads import cache_directory
from vividface.evaluation.runs import Run


@pytest.mark.workflow
def test_a_stopped_rule_is_resumed_at_its_clip(make_workspace, tmp_path, monkeypatch):
    """Snakemake removes the outputs of a job that failed; what it has restored is not among them."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/weights").symlink_to(cache_directory() / "weights")
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "cache"))
    commit = make_repository(tmp_path / "code", {"restore.py": STOPPING + PROGRAM})
    description = tmp_path / "stub.yaml"
    description.write_text(yaml.safe_dump(describe(tmp_path / "code", commit, "video")))
    workspace = make_workspace()
    workspace.overlay = copy.deepcopy(workspace.overlay)
    workspace.overlay["datasets"]["test"]["max_clips"] = 3
    workspace.overlay["evaluation"] = {
        "baselines": ["bicubic"],
        "metrics": ["psnr_rgb"],
        "methods": {"stub": {"kind": "published", "description": str(description)}},
    }
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
