"""The report that `vividface enhance` writes beside a result."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from restoration.helpers import encode, picture, write_checkpoint

from vividface import __version__
from vividface.cli.main import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "nano")


@pytest.fixture
def enhance(checkpoint):
    """`enhance(input, output, ...)` runs the command on crops; returns its exit status."""

    def run(source, output, *words):
        base = ["enhance", str(source), "-o", str(output), "--model", str(checkpoint), "--device", "cpu"]
        return main([*base, "--mode", "crop", *words])

    return run


def test_a_report_says_what_was_done_and_is_the_same_again(enhance, checkpoint, tmp_path, capsys):
    source, output, report = encode(tmp_path / "in.avi"), tmp_path / "new.mp4", tmp_path / "new.json"
    words = ("--strength", "0.5", "--start", "0.1", "--frames", "8", "--window", "5", "--json")
    assert enhance(source, output, *words) == 0
    said = json.loads(capsys.readouterr().out)
    written = report.read_bytes()
    assert json.loads(written) == {
        "version": __version__,
        "input": str(source),
        "output": str(output),
        "model": str(checkpoint),
        "options": {
            "mode": "crop",
            "device": "cpu",
            "strength": 0.5,
            "start": 0.1,
            "frames": 8,
            "window": 5,
            "overlap": 1,
        },
        "frames": 8,
        "faces": None,
        "strength": 0.5,
        "people": [],
        "left_alone": {},
        "problem": "",
        "notes": [],
    }
    assert said.pop("seconds") > 0
    assert said.pop("restored") == 8
    assert said.items() <= json.loads(written).items(), "the report and --json agree"
    assert enhance(source, output, *words, "--overwrite") == 0
    assert report.read_bytes() == written


def test_the_documentation_shows_the_same_keys(enhance, repository, tmp_path, capsys):
    page = (repository / "docs" / "enhance.md").read_text()
    report, said = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    assert enhance(encode(tmp_path / "in.mp4"), tmp_path / "new.mp4", "--json") == 0
    assert said.keys() == json.loads(capsys.readouterr().out).keys()
    assert report.keys() == json.loads((tmp_path / "new.json").read_text()).keys()


def test_a_problem_and_a_note_are_in_it(enhance, tmp_path):
    whole, source = encode(tmp_path / "whole.mkv"), tmp_path / "in.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert enhance(source, tmp_path / "new.mp4", "--codec", "copy-of-input") == 3
    report = json.loads((tmp_path / "new.json").read_text())
    assert report["problem"] == "is truncated"
    assert report["options"]["codec"] == "copy-of-input"
    assert 0 < report["frames"] < 20


def test_images_have_one_report_per_result(enhance, tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), picture(index)[..., ::-1].astype(np.uint8))
    assert enhance(folder, tmp_path / "new.folder" / "scan") == 0
    assert enhance(folder / "0.png", tmp_path / "photo.v2.jpg") == 0
    assert json.loads((tmp_path / "new.folder" / "scan.json").read_text())["frames"] == 3
    assert json.loads((tmp_path / "photo.v2.json").read_text())["frames"] == 1
    assert sorted(path.name for path in (tmp_path / "new.folder" / "scan").iterdir()) == [
        "0.png",
        "1.png",
        "2.png",
    ]


def test_nothing_of_the_users_is_replaced_unasked(enhance, tmp_path, capsys):
    source, notes = encode(tmp_path / "in.mp4"), tmp_path / "new.json"
    notes.write_text("mine")
    assert enhance(source, tmp_path / "new.mp4") == 1
    assert "new.json: exists already, and the report would lie there" in capsys.readouterr().err
    assert not (tmp_path / "new.mp4").exists()
    assert enhance(source, tmp_path / "new.mp4", "--no-report") == 0
    assert notes.read_text() == "mine"
    assert enhance(source, tmp_path / "new.mp4", "--overwrite") == 0
    assert json.loads(notes.read_text())["frames"] == 20
    (tmp_path / "new.mp4").unlink()
    assert enhance(source, tmp_path / "new.mp4", "--resume") == 0
    notes.unlink()
    notes.mkdir()
    assert enhance(source, tmp_path / "new.mp4", "--overwrite") == 1
    assert "new.json: exists already" in capsys.readouterr().err
    assert enhance(source, tmp_path / "new.mp4", "--overwrite", "--no-report") == 0
    assert enhance(source, tmp_path / "look", "--preview", str(tmp_path / "look.png"), "--no-report") == 0
    assert enhance(source, tmp_path / "other", "--preview", str(tmp_path / "other.png")) == 0
    assert not (tmp_path / "other.json").exists()


def test_two_results_of_one_name_have_two_reports(enhance, tmp_path):
    source = encode(tmp_path / "in.mp4", count=4)
    assert enhance(source, tmp_path / "new.mp4") == enhance(source, tmp_path / "new.mkv") == 0
    for report, output in (("new.json", "new.mp4"), ("new.mkv.json", "new.mkv")):
        assert json.loads((tmp_path / report).read_text())["output"] == str(tmp_path / output)
    assert enhance(source, tmp_path / "new.mkv") == 1, "and the result itself is there"


def test_each_video_of_a_folder_has_a_report_of_its_own(enhance, tmp_path, capsys):
    folder, output = tmp_path / "videos", tmp_path / "new"
    folder.mkdir()
    encode(folder / "a.mp4")
    encode(folder / "b.mp4", count=10)
    encode(folder / "b.mkv")
    shutil.copy(folder / "a.mp4", folder / "c.mp4")
    output.mkdir()
    (output / "c.json").write_text("mine")
    assert enhance(folder, output) == 1
    assert "c.json: exists already" in capsys.readouterr().err
    frames = {path.name: json.loads(path.read_text())["frames"] for path in output.glob("[ab]*.json")}
    assert frames == {"a.json": 20, "b.mp4.json": 10, "b.mkv.json": 20}
    assert (output / "c.json").read_text() == "mine"
    assert not (output / "c.mp4").exists()
    assert enhance(folder, output, "--resume") == 0
    assert json.loads((output / "c.json").read_text())["input"] == str(folder / "c.mp4")
