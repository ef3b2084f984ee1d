"""Plans of configurations that differ in a key or two."""

import copy
import json
from pathlib import Path

import pytest
from plans import plan_jobs

PARTS = ("transformer", "vae", "text_encoder", "tokenizer")


def _parse_once(parse):
    """Snakemake's parser, whose result depends on the file and the number of rules before it alone."""
    known = {}

    def parse_or_remember(path, workflow, *, linemap, rulecount):
        key = path.get_path_or_uri(secret_free=True), rulecount
        if key not in known:
            lines = {}
            known[key] = parse(path, workflow, linemap=lines, rulecount=rulecount), lines
        result, lines = known[key]
        linemap.update(lines)
        return result

    return parse_or_remember


def _load_once(load):
    """Snakemake's loader of configurations, by their text."""
    known = {}

    def load_or_remember(path):
        text = Path(path).read_text()
        if text not in known:
            known[text] = load(path)
        return copy.deepcopy(known[text])

    return load_or_remember


@pytest.fixture(scope="session")
def _files_read_once():
    """The Snakefile is always the same: to parse it and to load config.yaml is half of a plan's time."""
    from snakemake import workflow
    from snakemake.common import configfile

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflow, "parse", _parse_once(workflow.parse))
        patch.setattr(configfile, "load_configfile", _load_once(configfile.load_configfile))
        yield


@pytest.fixture(scope="session")
def plan(repository, tmp_path_factory, _files_read_once):
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
        return {
            (job.rule.name, *map(str, job.output)): (
                dict(job.params.items()),
                sorted(map(str, job.input)),
            )
            for job in plan_jobs(repository, folder, [overlay], targets, everything=True)
            if job.rule.name != "all"
        }

    return plan
