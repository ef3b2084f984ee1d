"""Fixtures of the restoration's tests."""

import pytest

from .helpers import encode, write_checkpoint


@pytest.fixture
def video(tmp_path):
    return encode(tmp_path / "input.mp4")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "nano")
