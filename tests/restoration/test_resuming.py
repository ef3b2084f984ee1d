"""Enhancements that are interrupted or killed, and resumed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vividface.errors import InputError
from vividface.restoration import results
from vividface.restoration.enhance import Interrupted
from vividface.video import probe

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
        calls=11,
        source=str(long_video),
        output=str(output),
        compare=str(compare),
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300, check=False)
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
