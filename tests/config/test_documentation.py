"""The JSON schema, docs/configuration.md and the comments of config.yaml, against their fields."""

import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from vividface.config.documentation import commented, config_keys, documentation, json_schema
from vividface.workflow.reruns import reruns

ADVICE = "run `make schema`, and commit"


def test_the_committed_files_are_those_of_the_fields(repository):
    assert json.loads((repository / "config.schema.json").read_text()) == json_schema(), ADVICE
    assert (repository / "docs/configuration.md").read_text() == documentation(reruns()), ADVICE
    text = (repository / "config.yaml").read_text()
    assert commented(text) == text, ADVICE


@pytest.mark.parametrize(
    "name", ["config.yaml", *(f"configs/{name}.yaml" for name in ("demo", "nano", "scratch"))]
)
def test_editors_find_the_schema_and_it_admits_the_file(repository, name):
    path = repository / name
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    schema = json.loads((path.parent / first.partition("=")[2]).read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "values",
    [{"clips": {"frmes": 9}}, {"training": {"schedule": "linear"}}, {"seed": -1}],
    ids=["unknown key", "unknown choice", "out of range"],
)
def test_the_schema_refuses_what_validation_refuses(values):
    assert list(Draft202012Validator(json_schema()).iter_errors(values))


def test_every_key_has_a_description_that_is_a_phrase():
    for key in config_keys():
        assert key.description, key.path
        assert not key.description.endswith("."), key.path
        assert (
            key.description[0] != key.description[0].upper()
            or key.description.split()[0].isupper()
            or (key.description.startswith(("CSV", "MLLM")))
        ), key.path


def test_comments_are_set_where_keys_are_and_nothing_else_changes():
    text = (
        "# head\nseed: 1 # old\nclips:\n  size: 512\n"
        "variants:\n  main:\n    title: a\n  p0: # free\n    title: b\n"
    )
    result = commented(text)
    assert "seed: 1 # seed of all that is drawn at random (not in the paper)" in result
    assert "  size: 512 # side of the crops, px (section 4.1)" in result
    assert "    title: a # name in the tables" in result
    assert result.endswith("  p0: # free\n    title: b\n")
    assert yaml.safe_load(result) == yaml.safe_load(text)
    assert commented(result) == result
