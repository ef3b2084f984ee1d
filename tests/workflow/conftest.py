"""Snakemake's plan of a configuration, made in this process: hundreds of them take no minute."""

import copy
import json

import pytest
from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)

PARTS = ("transformer", "vae", "text_encoder", "tokenizer")


@pytest.fixture(scope="session")
def plan(repository, tmp_path_factory):
    """A function that gives, by rule and outputs, parameters and inputs of all jobs of a configuration."""
    folder = tmp_path_factory.mktemp("plan")
    rubric = folder / "rubric.yaml"
    text = (repository / "vividface/filtering/rubrics/face90.yaml").read_text()
    rubric.write_text(text.replace("name: face90", "name: other"))
    (folder / "labels.csv").touch()
    # Where weights lie that are not fetched.
    for parent in ("other", *(f"weights/wan2.1-t2v-1.3b/{part}" for part in PARTS)):
        (folder / parent).mkdir(parents=True)
        (folder / parent / "config.json").touch()
        (folder / parent / "tokenizer_config.json").touch()

    def plan(values):
        values = copy.deepcopy(values)
        if values["filter"]["rubric"] == "RUBRIC":
            values["filter"]["rubric"] = str(rubric)
        overlay = folder / "values.json"
        overlay.write_text(json.dumps(values))
        targets = {"all", *(["results/filter_study.md"] if values["filter"].get("study") else [])}
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[overlay]),
                snakefile=repository / "Snakefile",
                workdir=folder,
            ).dag(DAGSettings(targets=targets))
            workflow = workflow.workflow_api._workflow
            workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
            workflow._build_dag()
            return {
                (job.rule.name, *map(str, job.output)): (
                    dict(job.params.items()),
                    sorted(map(str, job.input)),
                )
                for job in workflow.dag.jobs
                if job.rule.name != "all"
            }

    return plan
