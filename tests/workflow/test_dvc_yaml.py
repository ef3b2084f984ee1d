"""dvc.yaml as it is rendered, and the milestones that it is rendered from."""

import re
import shutil
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml

from vividface.cli.main import main
from vividface.config import read_yaml
from vividface.errors import InputError
from vividface.workflow.dvc_yaml import read_settings, render_dvc_yaml, write_dvc_yaml
from vividface.workflow.milestones import MILESTONES, milestone_of

DEMO = Path("configs/demo.yaml")


@pytest.fixture(autouse=True)
def _in_repository(repository, monkeypatch):
    monkeypatch.chdir(repository)


def outputs(stage):
    return [next(iter(out)) for out in stage["outs"]]


def test_the_committed_file_is_that_of_the_demo(repository, tmp_path, monkeypatch):
    # What has been made in the repository does not matter.
    (tmp_path / "configs").mkdir()
    for name in ("config.yaml", "dvc.yaml", DEMO):
        shutil.copyfile(repository / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert not write_dvc_yaml([DEMO]), "run `make schema`, and commit"
    assert read_settings() == ([DEMO], None)


def test_the_study_is_a_stage_once_it_was_made(repository, tmp_path, monkeypatch):
    for name in ("config.yaml", "configs", "results"):
        (tmp_path / name).mkdir() if "." not in name else shutil.copyfile(repository / name, tmp_path / name)
    shutil.copyfile(repository / DEMO, tmp_path / DEMO)
    monkeypatch.chdir(tmp_path)
    assert "study" not in render_dvc_yaml([DEMO])["stages"]
    Path("results/filter_study.md").touch()
    study = render_dvc_yaml([DEMO])["stages"]["study"]
    assert study["cmd"] == "${run} results/filter_study.md"
    assert "data/selection/study" in outputs(study)


def test_every_rule_belongs_to_a_milestone():
    rules = {
        rule
        for path in Path("rules").glob("*.smk")
        for rule in re.findall(r"^ *rule (\w+):", path.read_text(), re.MULTILINE)
    }
    assert {rule for milestone in MILESTONES.values() for rule in milestone.rules} == rules
    with pytest.raises(InputError, match="rule other: belongs to no milestone"):
        milestone_of("other")


def test_every_script_leaves_a_record():
    for path in Path("scripts").glob("*.py"):
        assert "with run_rule(snakemake)" in path.read_text(), path


def test_what_a_stage_depends_on_is_made_by_an_earlier_one():
    made = set()
    for name, stage in render_dvc_yaml([DEMO])["stages"].items():
        assert {dep for dep in stage["deps"] if not dep.startswith("scripts/")} <= made, name
        assert all(Path(dep).is_file() for dep in stage["deps"] if dep.startswith("scripts/")), name
        assert not made & set(outputs(stage))
        made |= set(outputs(stage))


def test_parameters_are_those_that_each_file_has():
    stages = render_dvc_yaml([DEMO])["stages"]
    for stage in stages.values():
        for path, keys in (item for entry in stage["params"] for item in entry.items()):
            for key in keys:
                reduce(getitem, key.split("."), read_yaml(Path(path)))
    files = {}
    for entry in stages["evaluation"]["params"]:
        files |= entry
    assert "seed" in files["config.yaml"]
    assert "seed" not in files["configs/demo.yaml"]
    assert "evaluation" in files["configs/demo.yaml"]


def test_the_papers_experiment_by_one_command(tmp_path, monkeypatch, repository, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text((repository / "config.yaml").read_text())
    assert main(["render-dvc", "--profile", "slurm"]) == 0
    assert "dvc.yaml: rendered" in capsys.readouterr().out
    written = yaml.safe_load(Path("dvc.yaml").read_text())
    assert {"run": "snakemake --profile slurm"} in written["vars"]
    stages = written["stages"]
    assert list(stages) == [name for name, milestone in MILESTONES.items() if milestone.in_all]
    assert "data/vfhq/masks" in outputs(stages["data"])
    assert "data/vfhq_test/encoded" in outputs(stages["data"])
    assert "data/rfv_lq/lq" not in outputs(stages["degraded"])
    # It starts from main's latent stage.
    assert "checkpoints/latent_only/latent_stage" not in outputs(stages["latent_stage"])
    assert "checkpoints/latent_only/pixel_stage" in outputs(stages["pixel_stage"])
    assert "results/summary/realesrgan.json" in written["metrics"]


def test_a_file_of_another_hand_is_refused(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(InputError, match="was not rendered by `vividface render-dvc`"):
        read_settings(tmp_path / "dvc.yaml")
