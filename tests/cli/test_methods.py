"""`vividface methods`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from evaluation.methods.stub import (
    PROGRAM,
    STOPPING,
    describe,
    installation_of,
    make_repository,
    patch_of,
)
from progress import wait_until

from vividface.cli.main import main
from vividface.evaluation.methods.catalogue import published_methods
from vividface.video import read_clip, write_clip


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """The file of the stub's description, under a licence that has to be accepted."""
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "cache"))
    commit = make_repository(tmp_path / "code", {"restore.py": PROGRAM})
    licence = {"id": "mine", "title": "M", "page": "https://a.b"}
    installation_of({**describe(tmp_path / "code", commit, "video"), "licences": [licence]}, tmp_path)
    return str(tmp_path / "stub.yaml")


def test_all_methods_are_listed_with_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    assert main(["methods", "list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {*published_methods(), "missing:"}
    (keep,) = [index for index, line in enumerate(lines) if line.startswith("keep ")]
    columns = [head.index(title) for title in ("method", "reads", "licence to accept")]
    assert [lines[keep].index(cell) for cell in ("KEEP", "frames, aligned", "s-lab-1.0")] == columns
    assert lines[keep + 1].strip() == "missing: is not fetched; run `vividface methods fetch keep`"


def test_a_method_is_fetched_checked_and_run(stub, tmp_path, moving_frames, capsys):
    write_clip(tmp_path / "in/film.mkv", moving_frames, 24)
    out = tmp_path / "out"
    run = ["methods", "run", stub, str(tmp_path / "in"), "-o", str(out), "--accept", "mine"]
    assert main(run) == 1
    assert "is not fetched; run `vividface methods fetch" in capsys.readouterr().err
    assert main(["methods", "fetch", stub, "--accept", "mine"]) == 0
    assert main(["methods", "check", stub, "--accept", "mine"]) == 0
    assert "its program takes its arguments" in capsys.readouterr().out
    assert main(run) == 0
    np.testing.assert_array_equal(read_clip(out / "film.mkv"), moving_frames)
    assert json.loads((out / "run.json").read_text())["num_frames"] == {"film": 9}
    assert main(run) == 1
    assert f"{out}: exists already" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_is_resumed_at_its_clip(stub, tmp_path, moving_frames, monkeypatch, number):
    """Killed while the program has the second of three videos; no half video is left."""
    description = yaml.safe_load(Path(stub).read_text())
    description["patches"] = [patch_of(STOPPING + PROGRAM)]
    Path(stub).write_text(yaml.safe_dump(description))
    assert main(["methods", "fetch", stub, "--accept", "mine"]) == 0
    (source,) = (tmp_path / "cache/methods/stub").glob("source-*")
    (source / "stop").write_text("c0001p000")
    (source / "wait").touch()
    for count, name in enumerate("abc"):
        write_clip(tmp_path / f"in/{name}.mkv", moving_frames[count:], 24)
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))
    out, runs = tmp_path / "out", source / "runs"
    run = ["methods", "run", stub, str(tmp_path / "in"), "-o", str(out), "--accept", "mine"]
    process = subprocess.Popen([sys.executable, "-m", "vividface", *run])
    wait_until(lambda: runs.exists() and len(runs.read_text().split()) == 2, process)
    process.send_signal(number)
    process.wait()
    program = int((source / "pid").read_text())
    if number == signal.SIGKILL:
        # Nothing of this process is left that could end its program.
        os.kill(program, signal.SIGKILL)
    else:
        wait_until(lambda: not Path(f"/proc/{program}").exists())
        assert process.returncode == 128 + number
        assert not list((tmp_path / "work").iterdir())
    assert not out.exists()
    assert [path.name for path in (tmp_path / "out.partial").glob("[!.]*")] == ["a.mkv"]
    (source / "stop").unlink()
    assert main(run) == 0
    assert runs.read_text().split() == ["c0000p000", "c0001p000", "c0001p000", "c0002p000"]
    for count, name in enumerate("abc"):
        np.testing.assert_array_equal(read_clip(out / f"{name}.mkv"), moving_frames[count:])
    assert not (tmp_path / "out.partial").exists()


def test_an_error_names_the_file_of_all_that_a_program_printed(stub, tmp_path, capsys):
    description = yaml.safe_load(Path(stub).read_text())
    code = "print(*range(9), sep='\\n'); raise SystemExit(1)"
    description["environment"]["setup"] = [["python", "-c", code]]
    Path(stub).write_text(yaml.safe_dump(description))
    assert main(["methods", "check", stub, "--accept", "mine"]) == 1
    log = tmp_path / "cache/methods/stub/log.txt"
    assert f"ends with status 1: 6 | 7 | 8; all output is in {log}" in capsys.readouterr().err
    assert log.read_text().splitlines()[-9:] == [*"012345678"]


@pytest.mark.parametrize("action", ["fetch", "check", "run"])
def test_a_licence_that_is_not_accepted_is_refused_with_its_page(stub, tmp_path, capsys, action):
    more = [str(tmp_path), "-o", str(tmp_path / "out")] if action == "run" else []
    assert main(["methods", action, stub, *more]) == 1
    assert "its licence mine (M) is not accepted; read https://a.b" in capsys.readouterr().err
