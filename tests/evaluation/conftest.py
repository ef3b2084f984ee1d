"""Fixtures of the evaluation's tests."""

import pytest

from vividface.config import load_config
from vividface.errors import InputError
from vividface.weights.cache import fetch_groups


@pytest.fixture(scope="session")
def config(repository):
    """The demo's configuration."""
    return load_config(repository / "config.yaml", repository / "configs" / "demo.yaml")


@pytest.fixture
def fetched():
    """`fetched(group)` fetches weights, or skips the test where they cannot be fetched."""

    def fetch(group):
        try:
            fetch_groups([group])
        except InputError as error:
            pytest.skip(f"the weights of {group} are not to be had here: {error}")

    return fetch
