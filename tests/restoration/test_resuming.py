"""Enhancements that are interrupted or killed, and resumed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vividface.errors import InputError
from vividface.faces.base import Face, Region
from vividface.restoration import results
from vividface.restoration.enhance import Interrupted, enhance, words_for_left
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.opening import open_source
from vividface.restoration.writing import Part
from vividface.video import probe, write_clip

from .helpers import WINDOWS, brighten, decode, encode, run

# Shorter than the library's, so that short videos have several parts: a window of 9 adds 7 frames.
PART_FRAMES = 24
NUM_FRAMES = 80

_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from restoration import helpers
from vividface.restoration import results
results._PART_FRAMES = {part_frames}
calls = []
def restore(frames):
    calls.append(1)
    if len(calls) == {calls}:
        os.kill(os.getpid(), signal.SIGKILL)
    return helpers.brighten(frames)
helpers.run({source!r}, {output!r}, restore, compare=Path({compare!r}))
"""


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch):
    monkeypatch.setattr(results, "_PART_FRAMES", PART_FRAMES)


@pytest.fixture
def long_video(tmp_path):
    return encode(tmp_path / "long.mp4", count=NUM_FRAMES)


def test_a_killed_run_resumes_with_the_same_frames(long_video, tmp_path):
    whole, output, compare = tmp_path / "whole.mp4", tmp_path / "new.mp4", tmp_path / "both.mp4"
    run(long_video, whole, compare=tmp_path / "whole_both.mp4")
    code = _KILLED.format(
        folder=str(Path(__file__).parents[1]),
        part_frames=PART_FRAMES,
        calls=12,
        source=str(long_video),
        output=str(output),
        compare=str(compare),
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not output.exists()
    with pytest.raises(InputError, match=r"new\.mp4\.partial: an interrupted run left it; add --resume"):
        run(long_video, output, compare=compare)
    calls = []

    def restore(frames):
        calls.append(1)
        return brighten(frames)

    result = run(long_video, output, restore, resume=True, compare=compare)
    assert result.num_frames == NUM_FRAMES
    assert result.num_restored == NUM_FRAMES - 56, "two parts of four windows are not restored again"
    assert len(calls) <= 5
    assert output.read_bytes() == whole.read_bytes()
    assert compare.read_bytes() == (tmp_path / "whole_both.mp4").read_bytes()
    assert not (tmp_path / "new.mp4.partial").exists()


def test_what_a_run_that_was_killed_while_joining_left_is_removed(tmp_path):
    source, output = encode(tmp_path / "in.mp4"), tmp_path / "new [1].mp4"
    stale, other = tmp_path / ".new [1].4711.partial.mp4", tmp_path / ".new 1.4711.partial.mp4"
    stale.touch()
    other.touch()
    run(source, output)
    assert not stale.exists()
    assert other.exists(), "another result's"


class Crowd:
    """Finds one face, a tiny one in every frame, and one in profile in the second half.

    The first pixel is the number of the frame.
    """

    num_landmarks, same_person = 5, 0.9

    def detect(self, frames):
        points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
        # The nose lies far outside of eyes and mouth, which lie behind each other.
        aside = np.array([[0.5, 0.3], [0.6, 0.3], [0.05, 0.6], [0.45, 0.8], [0.55, 0.8]])
        found = []
        for frame in frames:
            faces = [(4, 4, 24, points), (50, 2, 8, points)]
            faces += [(34, 24, 24, aside)] if frame[0, 0, 0] >= NUM_FRAMES // 2 else []
            found.append(
                [
                    Face(np.array([x, y, x + side, y + side], np.float32), np.float32((x, y) + p * side), 1)
                    for x, y, side, p in faces
                ]
            )
        return found

    def parse(self, frames, faces):
        return np.full((len(frames), *frames[0].shape[:2]), Region.FACE, np.uint8)

    def embed(self, frames, faces):
        return np.eye(64, dtype=np.float32)[[int(face.box[0]) for face in faces]]


def test_what_was_left_alone_is_counted_over_a_resume(tmp_path):
    frames = np.full((NUM_FRAMES, 50, 66, 3), 90, np.uint8)
    frames[:, 0, 0] = np.arange(NUM_FRAMES)[:, None]
    write_clip(tmp_path / "numbered.mkv", frames, 25)
    config = WINDOWS.model_copy(update={"min_face": 16})
    calls = []

    def late(frames):
        calls.append(1)
        if len(calls) > 9:
            raise KeyboardInterrupt
        return brighten(frames)

    def enhanced(name, restore, *, resume=False):
        restorer = FaceRestorer(restore=restore, size=64, clip_frames=9, backend=Crowd(), fingerprint={})
        source = open_source(tmp_path / "numbered.mkv")
        return enhance(source, tmp_path / name, restorer=restorer, config=config, resume=resume)

    whole = enhanced("whole.mp4", brighten)
    assert whole.num_left == {"small": NUM_FRAMES, "turned": NUM_FRAMES // 2}
    assert words_for_left(whole.num_left) == "small faces in 80 frames, turned ones in 40"
    with pytest.raises(Interrupted):
        enhanced("new.mp4", late)
    records = sorted((tmp_path / "new.mp4.partial").glob("0*.json"))
    parts = [json.loads(record.read_text()) for record in records]
    assert parts
    done = sum(len(part["times"]) for part in parts)
    resumed = enhanced("new.mp4", brighten, resume=True)
    assert resumed.num_restored == NUM_FRAMES - done < NUM_FRAMES
    assert resumed.num_left == whole.num_left
    assert (resumed.num_frames, resumed.num_faces) == (whole.num_frames, whole.num_faces)


def test_a_part_of_an_earlier_version_has_no_counts():
    part = Part(**{"num_faces": 3, "resume_at": 9, "skip": 0, "times": [0, 1, 2], "durations": [1, 1, 1]})
    assert part.num_left == {}


def test_resuming_with_other_settings_is_refused(long_video, tmp_path):
    output = tmp_path / "new.mp4"

    def stop(frames):
        raise RuntimeError("the model broke")

    calls = []

    def late(frames):
        calls.append(1)
        if len(calls) > 6:
            raise RuntimeError("the model broke")
        return frames

    with pytest.raises(RuntimeError, match="the model broke"):
        run(long_video, output, late)
    with pytest.raises(InputError, match=r"was begun with another colour, scale"):
        run(
            long_video,
            output,
            late,
            config=WINDOWS.model_copy(update={"scale": 2, "colour": "adain"}),
            resume=True,
        )
    (tmp_path / "new.mp4.partial" / "run.json").write_text("{")
    with pytest.raises(InputError, match="is not what an interrupted run leaves"):
        run(long_video, output, late, resume=True)
    run(long_video, output, brighten, overwrite=True)
    assert probe(output).num_frames == NUM_FRAMES
    with pytest.raises(RuntimeError, match="the model broke"):
        run(long_video, tmp_path / "other.mp4", stop)
    assert not (tmp_path / "other.mp4.partial").exists(), "nothing was done, so nothing is left"


def test_ctrl_c_leaves_a_playable_part(long_video, tmp_path):
    output, whole = tmp_path / "new.mp4", tmp_path / "whole.mp4"
    calls = []

    def restore(frames):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return brighten(frames)

    with pytest.raises(
        Interrupted, match=r"the first 42 frames are in .*new\.part\.mp4; the same command with"
    ):
        run(long_video, output, restore)
    assert not output.exists()
    part = probe(tmp_path / "new.part.mp4")
    assert (part.num_frames, part.has_audio) == (42, True)
    assert len(decode(tmp_path / "new.part.mp4")) == 42
    run(long_video, output, resume=True)
    run(long_video, whole)
    assert output.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "new.part.mp4").exists()
