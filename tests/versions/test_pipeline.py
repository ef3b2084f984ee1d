import re
from pathlib import Path

import pytest
import yaml

from vividface.cli import main
from vividface.errors import InputError
from vividface.milestones import MILESTONES, milestone_of
from vividface.versions.pipeline import pipeline, settings, write_pipeline

DEMO = Path("configs/demo.yaml")


@pytest.fixture(autouse=True)
def _in_repository(repository, monkeypatch):
    monkeypatch.chdir(repository)


def outputs(stage):
    return [next(iter(out)) for out in stage["outs"]]


def test_the_committed_pipeline_is_that_of_the_demo(tmp_path):
    assert not write_pipeline([DEMO]), "run `vividface pipeline --configfile configs/demo.yaml`, and commit"
    assert settings() == ([DEMO], None)


def test_every_rule_belongs_to_a_milestone():
    rules = {
        rule
        for path in Path("rules").glob("*.smk")
        for rule in re.findall(r"^ *rule (\w+):", path.read_text(), re.MULTILINE)
    }
    assert {rule for names in MILESTONES.values() for rule in names} == rules
    with pytest.raises(InputError, match="rule other: belongs to no milestone"):
        milestone_of("other")


def test_every_script_leaves_a_record():
    for path in Path("scripts").glob("*.py"):
        assert "with run_rule(snakemake)" in path.read_text(), path


def test_what_a_stage_depends_on_is_made_by_an_earlier_one():
    made = set()
    for name, stage in pipeline([DEMO])["stages"].items():
        assert {dep for dep in stage["deps"] if not dep.startswith("scripts/")} <= made, name
        assert all(Path(dep).is_file() for dep in stage["deps"] if dep.startswith("scripts/")), name
        assert not made & set(outputs(stage))
        made |= set(outputs(stage))


def test_parameters_are_those_that_each_file_has():
    stages = pipeline([DEMO])["stages"]
    everything = set(stages["tables"]["params"][0]["config.yaml"])
    for stage in stages.values():
        for entry in stage["params"]:
            for keys in entry.values():
                assert {key.partition(".")[0] for key in keys} <= everything
    files = {}
    for entry in stages["evaluation"]["params"]:
        files |= entry
    assert "seed" in files["config.yaml"]
    assert "seed" not in files["configs/demo.yaml"]
    assert "evaluation.metrics" in files["configs/demo.yaml"]


def test_the_papers_experiment_by_one_command(tmp_path, monkeypatch, repository, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text((repository / "config.yaml").read_text())
    assert main(["pipeline", "--profile", "slurm"]) == 0
    assert "dvc.yaml: rendered" in capsys.readouterr().out
    written = yaml.safe_load(Path("dvc.yaml").read_text())
    assert {"run": "snakemake --profile slurm"} in written["vars"]
    stages = written["stages"]
    assert list(stages) == list(MILESTONES)
    assert "data/vfhq/masks" in outputs(stages["data"])
    assert "data/vfhq_test/encoded" in outputs(stages["data"])
    assert "data/rfv_lq/lq" not in outputs(stages["degraded"])
    # It starts from main's latent stage.
    assert "checkpoints/latent_only/latent_stage" not in outputs(stages["latent_stage"])
    assert "checkpoints/latent_only/pixel_stage" in outputs(stages["pixel_stage"])
    assert "results/summary/realesrgan.json" in written["metrics"]


def test_a_pipeline_of_another_hand_is_refused(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(InputError, match="was not rendered by `vividface pipeline`"):
        settings(tmp_path / "dvc.yaml")
