"""A method that cannot be run, in the real workflow."""

import copy
import json

import pandas as pd
import pytest

from vividface.evaluation.runs import Run


@pytest.mark.workflow
def test_a_method_whose_licence_is_not_accepted_is_missing_with_the_reason(make_workspace):
    workspace = make_workspace()
    workspace.overlay = copy.deepcopy(workspace.overlay)
    workspace.overlay["evaluation"]["baselines"] = ["codeformer"]
    workspace.overlay["weights"] = [*workspace.overlay["weights"], "codeformer"]
    result = workspace.snakemake("results/metrics/test/codeformer.parquet")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    reason = Run.read(workspace.folder / "results/restored/test/codeformer").missing
    assert "s-lab-1.0 (S-Lab License 1.0, not for commercial use) is not accepted" in reason
    metrics = pd.read_parquet(workspace.folder / "results/metrics/test/codeformer.parquet")
    assert set(metrics["metric"]) == {"psnr_rgb", "ids_dlib", "fvd_set"}
    assert set(metrics["reason"]) == {reason}
    assert "codeformer" not in json.loads((workspace.folder / "data/weights.json").read_text())
    assert reason in (workspace.folder / "logs/fetch_weights.log").read_text()
    workspace.overlay["evaluation"]["accept_licences"] = ["apache-2.0"]
    assert workspace.planned("results/metrics/test/codeformer.parquet").get("fetch_weights", 0) == 0
    workspace.overlay["evaluation"]["accept_licences"] = ["s-lab-1.0"]
    planned = workspace.planned("results/metrics/test/codeformer.parquet")
    assert (planned["fetch_weights"], planned["restore_benchmark"]) == (1, 1)
