"""A published method that is stopped, in the real workflow."""

import copy

import pytest
from evaluation.methods.stub import PROGRAM, STOPPING, provide

from vividface.evaluation.runs import Run


@pytest.mark.workflow
def test_a_stopped_rule_is_resumed_at_its_clip(make_workspace, tmp_path, monkeypatch):
    """Snakemake removes the outputs of a job that failed; what it has restored is not among them."""
    description, cache = provide(tmp_path, "video", STOPPING + PROGRAM)
    monkeypatch.setenv("VIVIDFACE_CACHE", str(cache))
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
    (source,) = (cache / "methods/stub").glob("source-*")
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
