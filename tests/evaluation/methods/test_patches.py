"""The patches of the published methods."""

import subprocess

import pytest

from vividface.evaluation.methods.catalogue import published_methods

PATCHES = [
    pytest.param(patch.diff, id=f"{name}-{number}")
    for name, method in published_methods().items()
    for number, patch in enumerate(method.patches)
]


@pytest.mark.parametrize("diff", PATCHES)
def test_a_patch_is_one_that_git_reads(diff, tmp_path):
    """Blank lines at its end get lost in YAML, and git then calls the patch corrupt."""
    command = ["git", "apply", "--numstat", "-"]
    counts = subprocess.run(command, cwd=tmp_path, input=diff, text=True, capture_output=True, check=False)
    assert counts.returncode == 0, counts.stderr
    lines = diff.splitlines()
    changed = [
        sum(line.startswith(sign) and not line.startswith(sign * 3) for line in lines) for sign in "+-"
    ]
    numbers = [tuple(map(int, line.split()[:2])) for line in counts.stdout.splitlines()]
    assert [sum(column) for column in zip(*numbers, strict=True)] == changed
