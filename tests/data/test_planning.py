"""Planning the clips of videos that are one shot each."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from vividface.data.clips import Rejection
from vividface.data.planning import plan_clips
from vividface.data.shots import find_shots
from vividface.video import write_clip

BLACK = np.zeros((13, 16, 16, 3), np.uint8)


def videos(**paths):
    rows = [{"video_id": name, "path": str(path), "person": name} for name, path in paths.items()]
    return pd.DataFrame(rows)


def plan_of(table, *, num_frames=5, max_clips=None):
    return plan_clips(
        table, find_shots(table, None), num_frames=num_frames, num_shards=1, max_clips=max_clips
    )


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "walk.mkv"
    write_clip(path, BLACK, Fraction(30000, 1001))
    return path


def test_videos_are_cut_into_consecutive_clips(video):
    plan = plan_of(videos(walk=video))
    assert list(plan["clip_id"]) == ["walk-000000", "walk-000005"]
    assert list(plan["start"]) == [0, 5]
    assert set(plan["frames"]) == {5}
    assert Fraction(plan["fps"][0]) == pytest.approx(Fraction(30000, 1001), rel=1e-4)
    assert set(plan["rejection"]) == set(plan["reason"]) == {""}
    assert set(plan["shard"]) == {"0000"}
    longer = plan_of(videos(walk=video), num_frames=13)
    assert list(longer["frames"]) == [13]


def test_videos_without_a_clip_are_planned_with_their_reason(tmp_path, video):
    write_clip(tmp_path / "short.mkv", BLACK[:3], 25)
    (tmp_path / "text.mp4").write_text("not a video")
    names = ("short.mkv", "text.mp4", "gone.mp4")
    others = {name.partition(".")[0]: tmp_path / name for name in names}
    plan = plan_of(videos(walk=video, **others)).set_index("clip_id")
    assert len(plan) == 5
    assert plan["reason"]["short-000000"] == "too short: 3 frames, a clip has 5"
    assert plan["reason"]["text-000000"].startswith("unreadable: is not a readable video")
    assert plan["reason"]["gone-000000"].startswith("unreadable: there is no such file")
    assert plan["rejection"]["short-000000"] == Rejection.TOO_SHORT
    assert plan["rejection"]["text-000000"] == plan["rejection"]["gone-000000"] == Rejection.UNREADABLE
    sampled = plan_of(videos(walk=video, short=tmp_path / "short.mkv"), max_clips=1)
    assert sorted(sampled["reason"] == "") == [False, True]


def test_shards_depend_on_the_clip_alone_and_sampling_on_the_seed():
    table = videos(a="a.mp4", b="b.mp4")
    shots = pd.DataFrame({"video_id": ["a", "b"], "start": 0, "stop": 400, "fps": "25", "reason": ""})
    shots["rejection"] = ""
    settings = {"num_frames": 5, "num_shards": 4}
    everything = plan_clips(table, shots, **settings)
    assert len(everything) == 160
    counts = everything["shard"].value_counts()
    assert sorted(counts.index) == ["0000", "0001", "0002", "0003"]
    assert counts.min() > 20
    one = plan_clips(table.iloc[1:], shots, **settings, seed=9)
    pd.testing.assert_series_equal(
        one.set_index("clip_id")["shard"], everything.set_index("clip_id")["shard"].loc[one["clip_id"]]
    )
    first, again, other = (
        set(plan_clips(order, shots, **settings, max_clips=20, seed=seed)["clip_id"])
        for order, seed in ((table, 0), (table.iloc[::-1], 0), (table, 1))
    )
    assert len(first) == len(other) == 20
    assert first == again
    assert first != other


def test_whole_videos_are_one_clip_each_of_any_length(video, tmp_path):
    write_clip(tmp_path / "short.mkv", BLACK[:2], 25)
    (tmp_path / "broken.mkv").write_bytes(b"no video")
    table = videos(walk=video, short=tmp_path / "short.mkv", broken=tmp_path / "broken.mkv")
    plan = plan_of(table, num_frames=None).set_index("clip_id")
    assert list(plan["rejection"]) == [Rejection.UNREADABLE, "", ""]
    assert plan.loc["walk-000000", ["start", "frames"]].tolist() == [0, 13]
    assert plan.loc["short-000000", ["start", "frames"]].tolist() == [0, 2]


def test_of_a_truncated_video_nothing_is_taken_whole():
    shots = pd.DataFrame(
        {
            "video_id": "walk",
            "start": [0, 9],
            "stop": [9, 9],
            "fps": "25",
            "rejection": ["", Rejection.TRUNCATED],
            "reason": ["", "truncated: the file ends after 9 frames"],
        }
    )
    settings = {"videos": videos(walk="walk.mkv"), "shots": shots, "num_shards": 1}
    assert list(plan_clips(**settings, num_frames=None)["rejection"]) == [Rejection.TRUNCATED]
    assert list(plan_clips(**settings, num_frames=9)["rejection"]) == ["", Rejection.TRUNCATED]
