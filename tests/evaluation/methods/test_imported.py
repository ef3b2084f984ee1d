"""Results that somebody else made."""

import numpy as np
import pandas as pd
import pytest

from vividface.errors import InputError
from vividface.evaluation.methods.imported import import_results
from vividface.evaluation.runs import Run
from vividface.video import read_clip, write_clip


@pytest.fixture
def clips(moving_frames, tmp_path):
    """Two clips of one video, and one that is a video of its own."""
    rows = [("v-000000", "v"), ("v-000009", "v"), ("w-000000", "w")]
    for clip, _ in rows:
        write_clip(tmp_path / f"hq/{clip}.mkv", moving_frames, 25)
    table = pd.DataFrame(rows, columns=["clip_id", "video_id"])
    return table.assign(hq=[str(tmp_path / f"hq/{clip}.mkv") for clip in table["clip_id"]])


def test_results_are_taken_over_without_loss_and_without_a_time(clips, moving_frames, tmp_path):
    theirs = tmp_path / "theirs"
    for name in ("v-000000", "v-000009", "w"):
        write_clip(theirs / f"{name}.mkv", moving_frames // 2, 30)
    import_results("they", theirs, clips=clips, output=tmp_path / "out")
    for clip in clips["clip_id"]:
        np.testing.assert_array_equal(read_clip(tmp_path / f"out/{clip}.mkv"), moving_frames // 2)
    run = Run.read(tmp_path / "out")
    assert (run.method, run.num_frames) == ("they", dict.fromkeys(clips["clip_id"], 9))
    assert (run.seconds, run.milliseconds_per_frame, run.num_steps, run.conditions) == (None, None, None, "")


def test_a_clip_without_a_result_is_named(clips, moving_frames, tmp_path):
    theirs = tmp_path / "theirs"
    for name in ("v-000000", "w", "v"):
        write_clip(theirs / f"{name}.mkv", moving_frames, 25)
    with pytest.raises(InputError, match=r"named v-000009, which the clip v-000009 needs; .*methods\.they"):
        import_results("they", theirs, clips=clips, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    write_clip(theirs / "v-000009.mkv", moving_frames[:5], 25)
    with pytest.raises(InputError, match=r"has 5 frames, but .*hq"):
        import_results("they", theirs, clips=clips, output=tmp_path / "out")
