"""What people own: mistakes are told before anything heavy is imported, damage in a line."""

import json
import random
import subprocess
import sys
from collections import Counter

import pytest

from vividface.cli.main import main

from ..restoration.helpers import encode, ffmpeg

# A mistake is to be told before these are imported, which takes seconds.
_LIGHT = """
import sys
from vividface.cli.main import main
status = main(["enhance", *sys.argv[1:]])
heavy = {"torch", "diffusers", "transformers", "ai_edge_litert"} & set(sys.modules)
sys.exit(f"imported: {sorted(heavy)}" if heavy else status)
"""

_PICTURES = ("-f", "lavfi", "-i", "testsrc2=s=48x32:r=25:d=0.24", "-f", "lavfi", "-i", "sine=d=0.24")
_SEEDS = {
    "a.mp4": ("-c:v", "libx264", "-c:a", "aac"),
    "b.mkv": ("-c:v", "libx264", "-c:a", "flac"),
    "c.ts": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "d.avi": ("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    "e.mov": ("-c:v", "prores_ks", "-c:a", "pcm_s16le"),
    "f.webm": ("-c:v", "libvpx-vp9", "-c:a", "libopus"),
    "g.mp4": ("-c:v", "libx265", "-c:a", "aac", "-movflags", "+faststart", "-x265-params", "log-level=error"),
    "h.flv": ("-c:v", "flv", "-c:a", "mp3", "-ar", "44100"),
    "i.gif": ("-an",),
    "j.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2"),
}
_NUM_MUTATED = 200


def told(*words):
    """Exit status and the only line that a command writes to standard error, without the heavy packages."""
    command = [sys.executable, "-c", _LIGHT, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.mp4", "there is no such file or folder; check the path"),
        ("letter.mp4", "is not a readable video"),
        ("letter.png", "image"),
        ("empty.mkv", "is not a readable video"),
        ("-", "there is no such file or folder"),
        ("http://127.0.0.1/a.mp4", "there is no such file or folder"),
        ("sound.mp4", "has no video stream; give a video file"),
        ("pipe", "is no file"),
    ],
)
def test_a_wrong_input_is_told_at_once(source, message, tmp_path):
    import os

    (tmp_path / "letter.mp4").write_text("Dear Grandma, ...")
    (tmp_path / "letter.png").write_text("Dear Grandma, ...")
    (tmp_path / "empty.mkv").touch()
    os.mkfifo(tmp_path / "pipe")
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "aac", tmp_path / "sound.mp4")
    named = source if source == "-" or source.startswith("http") else tmp_path / source
    status, line = told(named, "-o", tmp_path / "new.mp4")
    assert status == 1
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "FOLDER/file/new.mp4"), "cannot be written to"),
        (("-o", "FOLDER/new.webm"), "unsupported container"),
        (("-o", "FOLDER/new.mp4", "--codec", "ffv1"), "does not hold ffv1"),
        (("-o", "FOLDER/new.mp4", "--compare", "FOLDER/new.mp4"), "is the result itself"),
        (("-o", "FOLDER/new.mp4", "--compare", "FOLDER/in.mp4"), "is the input itself"),
        (("-o", "FOLDER/in.mp4"), "is the input itself"),
        (("-o", "FOLDER/there.mp4"), "exists already"),
        (
            ("-o", "FOLDER/photos.mp4", "--overwrite"),
            "is a folder with more than PNG images in it, which stays",
        ),
        (("-o", "FOLDER/noted.mp4"), "noted.json: exists already, and the report would lie there"),
        (("-o", "FOLDER/held.mp4", "--overwrite"), "held.json: exists already"),
        (("-o", "FOLDER/new.mp4", "--scale", "9"), "options: scale"),
        (("-o", "FOLDER/new.mp4", "--quality", "99"), "quality"),
    ],
)
def test_a_wrong_result_is_told_at_once(words, message, tmp_path):
    encode(tmp_path / "in.mp4", count=4)
    (tmp_path / "there.mp4").touch()
    (tmp_path / "file").touch()
    (tmp_path / "noted.json").write_text("{}")
    for kept in (tmp_path / "photos.mp4" / "anna.jpg", tmp_path / "held.json" / "anna.png"):
        kept.parent.mkdir()
        kept.touch()
    status, line = told(tmp_path / "in.mp4", *(word.replace("FOLDER", str(tmp_path)) for word in words))
    assert status == 1
    assert message in line
    assert (tmp_path / "photos.mp4" / "anna.jpg").exists()
    assert (tmp_path / "held.json" / "anna.png").exists()


@pytest.mark.parametrize("length", [200, 236, 245])
def test_a_name_that_is_too_long_is_told_before_the_first_frame(length, tmp_path, capsys):
    """While a file is written its name is longer."""
    encode(tmp_path / "in.mp4", count=4)
    words = [tmp_path / "in.mp4", "-o", tmp_path / f"{'x' * length}.mp4", "--mode", "crop"]
    assert main(["enhance", *map(str, words)]) == (0 if length == 200 else 1)
    assert ("shorten" in capsys.readouterr().err) == (length > 200)
    # The input, the result, and its report.
    assert len(list(tmp_path.iterdir())) == (3 if length == 200 else 1), "nothing is left behind"


def mutated(content, draw):
    """The bytes of a file, damaged in one of the ways in which files are."""
    content, size = bytearray(content), len(content)
    kind = draw.choice(["bits", "header", "zeros", "cut", "repeated", "swapped", "noise"])
    start = draw.randrange(size)
    stop = start + draw.randint(1, size // 6 + 1)
    if kind == "bits":
        for _ in range(draw.randint(1, 60)):
            content[draw.randrange(size)] ^= 1 << draw.randrange(8)
    elif kind == "header":
        for _ in range(draw.randint(1, 30)):
            content[draw.randrange(min(size, 1200))] = draw.randrange(256)
    elif kind == "zeros":
        content[start:stop] = bytes(len(content[start:stop]))
    elif kind == "cut":
        content = content[: max(start, 1)]
    elif kind == "repeated":
        content[start:start] = content[start:stop]
    elif kind == "swapped":
        other = draw.randrange(size)
        one, two = content[start : start + 64], content[other : other + 64]
        content[start : start + 64], content[other : other + 64] = two, one
    else:
        content[start:stop] = draw.randbytes(len(content[start:stop]))
    return bytes(content)


def test_damaged_files_end_in_a_line_and_stop_no_others(tmp_path):
    draw, seeds = random.Random(0), []
    for name, options in _SEEDS.items():
        ffmpeg(*_PICTURES, *options, tmp_path / name)
        seeds.append(tmp_path / name)
    folder = tmp_path / "videos"
    folder.mkdir()
    for index in range(_NUM_MUTATED):
        seed = seeds[index % len(seeds)]
        (folder / f"{index:03d}{seed.suffix}").write_bytes(mutated(seed.read_bytes(), draw))
    command = [sys.executable, "-m", "vividface.cli.main", "enhance", folder, "-o", tmp_path / "new"]
    words = ["--mode", "crop", "--json", "--dtype", "fp32"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    outcomes = json.loads(done.stdout)["videos"]
    assert len(outcomes) == _NUM_MUTATED
    kinds = Counter()
    for outcome in outcomes:
        error = outcome.get("error", "")
        assert "\n" not in error
        assert "foresaw" not in error, error
        kinds["failed" if error else "damaged" if outcome["problem"] else "whole"] += 1
    assert min(kinds["failed"], kinds["damaged"], kinds["whole"]) > 20, kinds
    written = [path for path in (tmp_path / "new").iterdir() if path.suffix != ".json"]
    assert len(written) == kinds["damaged"] + kinds["whole"]
