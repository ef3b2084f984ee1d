"""What is made from the descriptions of published methods, as it is committed."""

import pytest

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


def test_no_environment_is_left_of_a_method_that_is_gone(repository):
    assert {path.stem for path in (repository / "envs/methods").iterdir()} == set(METHODS)
