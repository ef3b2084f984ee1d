"""Benchmarks that are published with their degraded videos."""

import cv2
import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from vividface.config.datasets import Source
from vividface.data.pairs import extract_lq, fetch_lq
from vividface.data.sources import fetch_dataset
from vividface.errors import InputError
from vividface.video import probe, read_clip, write_clip

NAMES = ("Clip+one", "Clip+two")


def folder_source(path, **values):
    return TypeAdapter(Source).validate_python({"kind": "folder", "path": path, **values})


def noise(length, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (length, height, width, 3), dtype=np.uint8)


def write_frames(folder, frames):
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index:08d}.png"), frame[..., ::-1])


@pytest.fixture
def pairs(tmp_path):
    """Two pairs, the truth as videos and the degraded side as folders of frames of half the size."""
    contents = {}
    for seed, name in enumerate(NAMES):
        write_clip(tmp_path / f"gt/{name}.mkv", noise(6 + seed, 32, 48), 24)
        contents[name] = noise(6 + seed, 16, 24, seed)
        write_frames(tmp_path / "bfr/deep" / name, contents[name])
    return contents


def fetch(folder, **lq_options):
    videos = fetch_dataset("test", folder_source(folder / "gt"), directory=folder / "data", locks=folder)
    source = folder_source(folder / "bfr", frames_fps=24, **lq_options)
    directory = folder / "data/lq_source"
    return videos, fetch_lq("test", source, videos=videos, directory=directory, locks=folder)


def test_each_video_finds_its_degraded_one_by_name(pairs, tmp_path):
    write_frames(tmp_path / "bfr/deep/unused", noise(3, 16, 16))
    videos, lq_videos = fetch(tmp_path)
    assert list(lq_videos["video_id"]) == list(videos["video_id"]) == ["Clip_one", "Clip_two"]
    for path, frames in zip(lq_videos["path"], pairs.values(), strict=True):
        np.testing.assert_array_equal(read_clip(path), frames)
    assert lq_videos["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    again = fetch(tmp_path)[1]
    pd.testing.assert_frame_equal(again, lq_videos)


def test_folders_that_hold_each_side_may_be_called_anything(tmp_path):
    """As archives of different names unpack, with frames on both sides and the same file names in each."""
    for side, size in (("gt_512/TEST_DATA", 32), ("bfr_512/LR_Blind", 16)):
        for name in NAMES:
            write_frames(tmp_path / side / name, noise(3, size, size))
    videos = fetch_dataset(
        "test",
        folder_source(tmp_path / "gt_512", frames_fps=25),
        directory=tmp_path / "data",
        locks=tmp_path,
    )
    source = folder_source(tmp_path / "bfr_512", frames_fps=25)
    lq_videos = fetch_lq("test", source, videos=videos, directory=tmp_path / "lq", locks=tmp_path)
    assert list(lq_videos["video_id"]) == list(videos["video_id"])
    assert {probe(path).width for path in lq_videos["path"]} == {16}


def test_clips_are_the_degraded_frames_at_their_own_size(pairs, tmp_path):
    _, lq_videos = fetch(tmp_path)
    clips = pd.DataFrame(
        {
            "clip_id": ["Clip_two-000000", "Clip_two-000004"],
            "video_id": "Clip_two",
            "start": [0, 4],
            "frames": [4, 3],
            "fps": "24",
        }
    )
    extract_lq(clips, lq_videos, lq_dir=tmp_path / "lq", threads=2)
    for clip, part in (("Clip_two-000000", slice(0, 4)), ("Clip_two-000004", slice(4, 7))):
        path = tmp_path / f"lq/{clip}.mkv"
        np.testing.assert_array_equal(read_clip(path), pairs["Clip+two"][part])
        assert probe(path).fps == 24


def test_what_could_not_be_fetched_needs_no_degraded_video(pairs, tmp_path):
    videos, lq_videos = fetch(tmp_path)
    gone = {"video_id": "gone", "path": "gone.mkv", "sha256": "", "person": "", "reason": "gone"}
    videos = pd.concat([videos, pd.DataFrame([gone])], ignore_index=True)
    source = folder_source(tmp_path / "bfr", frames_fps=24)
    again = fetch_lq("test", source, videos=videos, directory=tmp_path / "data/lq_source", locks=tmp_path)
    pd.testing.assert_frame_equal(again, lq_videos)


def test_a_video_without_a_degraded_one_is_named(pairs, tmp_path):
    write_clip(tmp_path / "gt/Clip+three.mkv", noise(6, 32, 48), 24)
    with pytest.raises(InputError, match=r"datasets\.test\.lq_source: 1 of 3 true .*, such as Clip\+three; "):
        fetch(tmp_path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 16, 24), "has 5 frames, but its ground truth .* has 6"),
        ((6, 24, 16), "is 16 x 24, but .* 48 x 32"),
    ],
)
def test_pairs_that_differ_are_refused(tmp_path, shape, message):
    write_clip(tmp_path / "gt/a.mkv", noise(6, 32, 48), 24)
    write_clip(tmp_path / "bfr/a.mkv", noise(*shape), 24)
    with pytest.raises(InputError, match=rf"datasets\.test\.lq_source: .*a\.mkv {message}"):
        fetch(tmp_path)


def test_two_videos_of_one_name_are_refused(tmp_path):
    write_clip(tmp_path / "gt/a.mkv", noise(6, 32, 48), 24)
    for suffix in ("mkv", "mp4"):
        write_clip(tmp_path / f"bfr/a.{suffix}", noise(6, 32, 48), 24, codec="h264")
    with pytest.raises(InputError, match=r"a\.mkv and .*a\.mp4 have one name"):
        fetch(tmp_path)
