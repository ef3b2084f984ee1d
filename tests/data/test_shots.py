"""Finding the shots of videos."""

import numpy as np
import pandas as pd
import pytest

from vividface.data.clips import Rejection, shard_of
from vividface.data.shots import find_shots, videos_of_shard
from vividface.video import VideoWriter, write_clip


def scene(seed, frames):
    """A picture that moves slowly."""
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, 200, (3, 6, 3), np.uint8).repeat(20, axis=0).repeat(20, axis=1)
    return np.stack([np.roll(picture, index, axis=1)[:, :80] for index in range(frames)])


def videos(**paths):
    return pd.DataFrame({"video_id": list(paths), "path": [str(path) for path in paths.values()]})


def bounds(table):
    return [tuple(row) for row in table[["start", "stop"]].to_numpy()]


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mkv"
    write_clip(path, np.concatenate([scene(1, 20), scene(2, 12), scene(3, 1), scene(1, 17)]), 25)
    return path


def test_shots_begin_and_end_at_the_cuts(film):
    table = find_shots(videos(film=film), 27)
    assert bounds(table) == [(0, 20), (20, 32), (32, 33), (33, 50)]
    assert set(table["video_id"]) == {"film"}
    assert set(table["fps"]) == {"25"}
    assert set(table["rejection"]) == set(table["reason"]) == {""}


def test_without_a_threshold_a_video_is_one_shot(film):
    assert bounds(find_shots(videos(film=film), None)) == [(0, 50)]


def test_large_frames_give_the_same_cuts(film, tmp_path):
    large = np.concatenate([scene(1, 6), scene(2, 6)]).repeat(10, axis=1).repeat(10, axis=2)
    write_clip(tmp_path / "large.mkv", large, 25)
    assert bounds(find_shots(videos(large=tmp_path / "large.mkv"), 27)) == [(0, 6), (6, 12)]


def test_what_cannot_be_read_is_a_row_with_its_reason(film, tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    table = find_shots(videos(text=tmp_path / "text.mp4", film=film), 27)
    assert table["rejection"].iloc[0] == Rejection.UNREADABLE
    assert table["reason"].iloc[0].startswith("unreadable: is not a readable video")
    assert bounds(table)[0] == (0, 0)
    assert len(table) == 5
    empty = find_shots(videos(), 27)
    assert list(empty.columns) == list(table.columns)
    assert empty.empty


@pytest.mark.parametrize("threshold", [None, 27])
def test_the_missing_end_of_a_truncated_video_is_a_row(threshold, tmp_path):
    path = tmp_path / "cut.mp4"
    noise = np.random.default_rng(0).integers(0, 20, (40, 60, 80, 3), np.uint8)
    with VideoWriter(path, width=80, height=60, fps=25, codec="h264") as writer:
        for frame in scene(4, 40) + noise:
            writer.write(frame)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    table = find_shots(videos(cut=path), threshold)
    shot, end = table.iloc[0], table.iloc[-1]
    assert shot["reason"] == ""
    assert 15 < shot["stop"] < 35
    assert end["rejection"] == Rejection.TRUNCATED
    assert end["reason"].startswith("truncated: ")
    assert end["start"] == end["stop"] == shot["stop"]
    assert str(path) not in end["reason"]


def test_shards_share_the_videos():
    table = videos(**{f"v{index}": f"{index}.mp4" for index in range(20)})
    parts = [videos_of_shard(table, f"{shard:04d}", num_shards=3) for shard in range(3)]
    assert sorted(pd.concat(parts)["video_id"]) == sorted(table["video_id"])
    assert {shard_of(video, 3) for video in parts[1]["video_id"]} == {"0001"}
