"""Methods of others in the real workflow: one that runs, and two that may not."""

import copy

import pandas as pd
import pytest
from evaluation.methods.stub import provide

from vividface.evaluation.runs import Run

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def values_of(method):
    return f"results/metrics/test/{method}.parquet"


@pytest.fixture(scope="module")
def workspace(finished_workspace, tmp_path_factory):
    """The finished workspace with three more methods measured, whose files go to a cache of these tests."""
    description, cache = provide(tmp_path_factory.mktemp("methods"), "videos")
    before = finished_workspace.overlay
    finished_workspace.overlay = copy.deepcopy(before)
    finished_workspace.overlay["evaluation"] |= {
        "baselines": ["codeformer"],
        "metrics": ["psnr_rgb"],
        "methods": {
            "stub": {"kind": "published", "description": str(description)},
            "keep": {"kind": "published"},
        },
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIVIDFACE_CACHE", str(cache))
        result = finished_workspace.snakemake(*map(values_of, ("stub", "keep", "codeformer")))
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
        yield finished_workspace
    finished_workspace.overlay = before
    # What the workspace was before: the other tests use it too.
    assert finished_workspace.planned("all") == {}


def test_one_that_runs_has_values(workspace):
    assert pd.read_parquet(workspace.folder / values_of("stub"))["value"].notna().all()
    assert "model took 1.5 s" in (workspace.folder / "logs/run_method/test/stub.log").read_text()


@pytest.mark.parametrize("method", ["keep", "codeformer"])
def test_one_whose_licence_is_not_accepted_is_missing_with_the_reason(workspace, method):
    metrics = pd.read_parquet(workspace.folder / values_of(method))
    assert list(metrics["metric"]) == ["psnr_rgb"]
    assert metrics["value"].isna().all()
    reason = Run.read(workspace.folder / f"results/restored/test/{method}").missing
    assert "s-lab-1.0 (S-Lab License 1.0, not for commercial use) is not accepted" in reason
    assert set(metrics["reason"]) == {reason}


def test_to_accept_a_licence_runs_what_it_forbade(workspace, monkeypatch):
    targets = [values_of(method) for method in ("stub", "keep", "codeformer")]
    assert workspace.planned(*targets) == {}
    accepted = {**workspace.overlay["evaluation"], "accept_licences": ["s-lab-1.0"]}
    monkeypatch.setattr(workspace, "overlay", workspace.overlay | {"evaluation": accepted})
    assert workspace.planned(*targets) == {
        "fetch_method": 1,
        "run_method": 1,
        "restore_benchmark": 1,
        "measure": 2,
    }
