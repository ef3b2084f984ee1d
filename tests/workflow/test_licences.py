"""Weights whose licence is not accepted, in the real workflow."""

import copy
import json

import pytest


@pytest.mark.workflow
def test_weights_whose_licence_is_not_accepted_are_left_out_until_it_is(make_workspace):
    workspace = make_workspace()
    workspace.overlay = copy.deepcopy(workspace.overlay)
    workspace.overlay["weights"] = [*workspace.overlay["weights"], "codeformer"]
    result = workspace.snakemake("data/weights.json")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    assert "codeformer" not in json.loads((workspace.folder / "data/weights.json").read_text())
    log = (workspace.folder / "logs/fetch_weights.log").read_text()
    assert "s-lab-1.0 (S-Lab License 1.0, not for commercial use) is not accepted" in log
    workspace.overlay["evaluation"]["accept_licences"] = ["apache-2.0"]
    assert workspace.planned("data/weights.json") == {}
    workspace.overlay["evaluation"]["accept_licences"] = ["s-lab-1.0"]
    assert workspace.planned("data/weights.json") == {"fetch_weights": 1}
