"""What is made from the descriptions of published methods, as it is committed."""

import pytest
import yaml
from packaging.requirements import Requirement

from vividface.evaluation.methods.catalogue import published_methods
from vividface.evaluation.methods.environment import conda_file
from vividface.evaluation.methods.pages import methods_page

ADVICE = "run `make schema`, and commit"
METHODS = published_methods()


def test_the_committed_page_lists_the_methods_as_they_are_described(repository):
    page = (repository / "docs/methods.md").read_text()
    assert page == methods_page(page, METHODS), ADVICE
    for method in METHODS.values():
        assert method.commit in page
        assert all(fault in page for fault in method.known_faults)
        assert all(patch.why in page for patch in method.patches)


@pytest.mark.parametrize("name", METHODS)
def test_the_committed_environments_are_those_of_the_descriptions(repository, name):
    assert (repository / f"envs/methods/{name}.yaml").read_text() == conda_file(METHODS[name]), ADVICE


def conda_dependencies(repository, name):
    """What an environment file asks conda for, and what it asks pip for."""
    values = yaml.safe_load((repository / f"envs/methods/{name}.yaml").read_text())
    assert set(values) == {"channels", "dependencies"}
    (pip,) = [entry["pip"] for entry in values["dependencies"] if isinstance(entry, dict)]
    return [entry for entry in values["dependencies"] if isinstance(entry, str)], pip


@pytest.mark.parametrize("name", METHODS)
def test_pip_can_read_what_conda_hands_on_to_it(repository, name):
    conda, pip = conda_dependencies(repository, name)
    assert "pip" in conda, "conda warns where it is not named"
    for line in pip:
        if not line.startswith(("--extra-index-url https://", "https://")):
            assert Requirement(line).name


@pytest.mark.parametrize("name", METHODS)
def test_conda_can_read_what_it_is_asked_for(repository, name):
    """With the parser of py-rattler, which is not among the locked packages: `pip install py-rattler`."""
    rattler = pytest.importorskip("rattler", reason="py-rattler, conda's grammar, is not installed")
    conda, _ = conda_dependencies(repository, name)
    specs = {spec.name.normalized: spec for spec in (rattler.MatchSpec(line, strict=True) for line in conda)}
    assert str(specs["python"].version) == f"{METHODS[name].environment.python}.*"


def test_no_environment_is_left_of_a_method_that_is_gone(repository):
    assert {path.stem for path in (repository / "envs/methods").iterdir()} == set(METHODS)
