"""Commands whose output nobody reads to its end, as of `vividface ... | head -1`."""

import os
import subprocess
import sys

import pytest

from vividface.cli.status import CLOSED_PIPE, FAILED

LISTINGS = [["methods", "list"], ["weights", "list"], ["rubric", "prompt"]]
HELP = [["--help"], ["methods", "run", "--help"]]


@pytest.fixture
def closed():
    """The end for writing of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def run(arguments, *, buffered=True, **files):
    """The process of a command; buffered, its output is written when it ends, else when it is printed."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    return subprocess.run(
        [sys.executable, "-m", "vividface", *arguments], env=environment, text=True, check=False, **files
    )


@pytest.mark.parametrize("arguments", [*LISTINGS, *HELP], ids=" ".join)
def test_output_ends_quietly(arguments, closed):
    result = run(arguments, stdout=closed, stderr=subprocess.PIPE)
    assert result.stderr == ""
    assert result.returncode == CLOSED_PIPE


@pytest.mark.parametrize("arguments", LISTINGS, ids=" ".join)
def test_a_listing_ends_quietly_at_any_of_its_lines(arguments, closed):
    result = run(arguments, buffered=False, stdout=closed, stderr=subprocess.PIPE)
    assert result.stderr == ""
    assert result.returncode == CLOSED_PIPE


def test_a_listing_ends_as_other_programs_do_in_a_shell():
    """`seq` is ended by SIGPIPE; the reader has its line of both."""
    statuses = []
    for command in (f"PYTHONUNBUFFERED=1 {sys.executable} -m vividface methods list", "seq 1000000"):
        script = f"{{ {command}; echo $? >&3; }} 3>&2 2>&1 | head -1"
        result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert len(result.stdout.splitlines()) == 1
        statuses.append(result.stderr)
    assert statuses == [f"{CLOSED_PIPE}\n"] * 2


def test_an_error_that_nobody_reads_ends_quietly(closed):
    result = run(["methods", "check", "nobody"], stdout=subprocess.PIPE, stderr=closed)
    assert (result.stdout, result.returncode) == ("", CLOSED_PIPE)


def test_an_error_is_told_where_only_the_output_is_not_read(closed):
    result = run(["methods", "check", "nobody"], stdout=closed, stderr=subprocess.PIPE)
    assert result.stderr.startswith("error: nobody: there is no such published method")
    assert result.returncode == FAILED


def test_another_pipe_that_breaks_is_an_error(monkeypatch, capsys):
    """As of a program that dies while it is written to."""
    from vividface.cli import methods
    from vividface.cli.main import main

    def break_pipe(options):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(methods, "_list", break_pipe)
    assert main(["methods", "list"]) == FAILED
    assert "failed for a reason nobody foresaw (BrokenPipeError" in capsys.readouterr().err
