"""`vividface evaluate`."""

import json

import numpy as np
import pytest

from vividface.cli.main import main
from vividface.video import write_clip


@pytest.fixture
def folders(moving_frames, tmp_path):
    """A good and a bad method, and the truth."""
    for clip in ("a", "b"):
        write_clip(tmp_path / "true" / f"{clip}.mkv", moving_frames, 25)
        write_clip(tmp_path / "good" / f"{clip}.mkv", moving_frames, 25)
        write_clip(tmp_path / "bad" / f"{clip}.mkv", moving_frames // 2, 25)
    return tmp_path


def test_a_row_per_folder_in_every_file_that_is_asked_for(folders, capsys):
    command = ["evaluate", str(folders / "good"), str(folders / "bad"), "--reference", str(folders / "true")]
    outputs = [arg for suffix in ("md", "json") for arg in ("-o", str(folders / f"table.{suffix}"))]
    assert main([*command, "--metrics", "psnr_rgb", "--jobs", "2", *outputs, "--title", "Mine"]) == 0
    printed = capsys.readouterr().out
    assert printed == (folders / "table.md").read_text()
    assert printed.startswith("# Mine\n")
    methods = json.loads((folders / "table.json").read_text())["methods"]
    assert methods["good"]["psnr_rgb"]["value"] == pytest.approx(80)
    assert methods["bad"]["psnr_rgb"]["value"] < 20
    assert sorted(path.name for path in folders.iterdir()) == [
        "bad",
        "good",
        "table.json",
        "table.md",
        "true",
    ]


def test_errors_are_one_line(folders, capsys):
    reference = ["--reference", str(folders / "true"), "--metrics", "psnr_rgb"]
    assert main(["evaluate", str(folders / "none"), *reference]) == 1
    assert "none: there is no such file or folder; check the path" in capsys.readouterr().err
    write_clip(folders / "good/a.mkv", np.zeros((5, 64, 64, 3), np.uint8), 25)
    assert main(["evaluate", str(folders / "good"), *reference, "--jobs", "1"]) == 1
    error = capsys.readouterr().err
    assert "a.mkv: has 5 frames, but" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["-o", "table.txt"], "table.txt: does not end in .md, .csv, .json, .html"),
        (["--align", "a=x"], "a=x: is neither N nor NAME=N, N a number of frames"),
        (["--jobs", "0"], "0: is no number above 0"),
    ],
)
def test_options_that_make_no_sense(folders, option, message, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", str(folders / "good"), *option])
    assert message in capsys.readouterr().err
