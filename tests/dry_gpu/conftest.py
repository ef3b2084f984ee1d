"""The dry GPU, for tests that run a GPU's path at its true size."""

import pytest

from benchmarks.dry_gpu import dry_gpu


@pytest.fixture
def memory():
    """The memory of a GPU that is not there: what a test makes on `cuda` is counted, not computed."""
    with dry_gpu() as counted:
        yield counted
