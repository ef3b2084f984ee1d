"""Training videos that are in a benchmark."""

import logging

import pandas as pd
import pytest

from vividface.data.clips import Rejection
from vividface.data.planning import plan_clips
from vividface.data.shared import find_shared, reasons_of, require_untrained
from vividface.errors import InputError
from vividface.files import digest

COLUMNS = ["video_id", "path", "sha256"]


def videos(*paths, checksums=None):
    """A table of videos `v0`, `v1`, ... whose files all differ, unless their checksums are given."""
    checksums = checksums or [digest(path) for path in paths]
    rows = [(f"v{index}", path, checksums[index]) for index, path in enumerate(paths)]
    return pd.DataFrame(rows, columns=COLUMNS)


def pairs(train, test):
    table = find_shared({"vfhq": train}, {"vfhq_test": test})
    assert set(table["dataset"]) <= {"vfhq"}
    assert set(table["benchmark"]) <= {"vfhq_test"}
    return sorted(zip(table["video_id"], table["benchmark_video"], strict=True))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("data/vfhq/videos/Clip+-08ZNjLfu_s+P0+C1+F2191-2300.mp4", "x/Clip+-08ZNjLfu_s+P1+C0+F5-90.mp4"),
        ("faces/wangjia184_Clip-uWZRSkqJ--g-P0-C2-F8754-8865.mp4", "e/Clip+uWZRSkqJ--g+P0+C0+F1-99.mkv"),
        ("faces/a_Clip-WSGW-7gHS6A-P0-C1-F2551-2669.mp4", "t/Clip_WSGW-7gHS6A_P0_C0_F1-99/film.mp4"),
        ("vfhq/Clip+___________+P0+C1+F1-2.mp4", "test/Clip-___________-P3-C0-F3-4.mp4"),
        ("faces/celebv-text_2GdHDMQlrfA_0_0.mp4", "encoded/GT_Clip+2GdHDMQlrfA+P0+C0+F1-99.mkv"),
        ("vfhq/Clip+2GdHDMQlrfA+P0+C0+F1-99.mp4", "films/An interview [2GdHDMQlrfA].webm"),
    ],
)
def test_clips_of_one_youtube_video_are_found(train, test):
    others = ("films/walk.mp4", "vfhq/Clip+AAAAAAAAAAA+P0+C0+F1-99.mp4")
    assert pairs(videos(train, *others), videos("films/run.mp4", test)) == [("v0", "v1")]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("vfhq/Clip+2GdHDMQlrfA+P0+C0+F1-99.mp4", "test/Clip+2gdhdmqlrfa+P0+C0+F1-99.mp4"),
        ("vfhq/Clip+2GdHDMQlrfA+P0+C0+F1-99.mp4", "test/Clip+2GdHDMQlrfB+P0+C0+F1-99.mp4"),
        ("films/interview-one.mp4", "other/interview-one.mp4"),
        ("films/Clip+short+P0+C0+F1-99.mp4", "other/Clip+short+P0+C0+F1-99.mp4"),
    ],
)
def test_other_videos_are_not(train, test):
    assert pairs(videos(train), videos(test)) == []


def test_files_are_known_by_their_checksums():
    same, other = "a" * 64, "b" * 64
    train = videos("a.mp4", "b.mp4", "gone.mp4", checksums=[other, same, ""])
    test = videos("c.mp4", "lost.mp4", checksums=[same, ""])
    assert pairs(train, test) == [("v1", "v0")], "what could not be fetched is no file"


def test_what_is_shared_is_rejected_by_name_and_logged(caplog):
    train = videos("a/Clip+-08ZNjLfu_s+P0+C1+F2191-2300.mp4", "b.mp4", "c.mp4")
    test = videos("x.mp4", "y/Clip+-08ZNjLfu_s+P0+C0+F5-90.mp4")
    with caplog.at_level(logging.INFO):
        shared = find_shared({"vfhq": train, "mine": videos("d.mp4")}, {"vfhq_test": test})
    reason = "in a benchmark: YouTube video -08ZNjLfu_s is that of v1 in vfhq_test"
    assert "vfhq: 1 of 3 videos are in a benchmark" in caplog.text
    assert f"vfhq: v0 is {reason}" in caplog.text
    assert "mine: 0 of 1 videos" in caplog.text
    assert reasons_of(shared, "vfhq") == {"v0": reason}
    assert reasons_of(shared, "mine") == {}

    shots = pd.DataFrame({"video_id": ["v0", "v1", "v2"], "start": 0, "stop": 20, "fps": "25"})
    shots = shots.assign(rejection="", reason="")
    plan = plan_clips(
        train.assign(person=""),
        shots,
        num_frames=5,
        num_shards=1,
        max_clips=3,
        refused=reasons_of(shared, "vfhq"),
    ).set_index("clip_id")
    refused = plan[plan["video_id"] == "v0"]
    assert list(refused["reason"]) == [reason], "one row, which is not sampled away"
    assert list(refused["rejection"]) == [Rejection.BENCHMARK]
    assert (plan["rejection"] == "").sum() == 3, "as many of the others as are asked for"


def test_a_file_in_two_benchmarks_has_a_row_for_each():
    same = ["a" * 64]
    shared = find_shared(
        {"mine": videos("a.mp4", checksums=same)},
        {"one": videos("b.mp4", checksums=same), "two": videos("c.mp4", checksums=same)},
    )
    assert list(shared["benchmark"]) == ["one", "two"]
    assert reasons_of(shared, "mine") == {"v0": f"in a benchmark: file {'a' * 64} is that of v0 in one"}


def test_a_benchmark_that_comes_after_the_training_data_is_refused_by_name():
    names = [f"Clip+{letter * 11}+P0+C0+F1-99.mp4" for letter in "abcdefgh"]
    shared = find_shared({"vfhq": videos(*names)}, {"new": videos(*names), "old": videos("x.mp4")})
    trained = pd.DataFrame({"video_id": ["v0", "v0", "v1", "v9"], "rejection": ["", "", "", ""]})
    message = (
        r"^datasets\.new: 2 of its videos are trained on, as v0, v1 of vfhq; take them out of the benchmark, "
        r"or delete data/vfhq/plan\.parquet to train again without them$"
    )
    with pytest.raises(InputError, match=message):
        require_untrained(shared, "new", plans={"vfhq": trained})
    everything = pd.DataFrame({"video_id": [f"v{index}" for index in range(8)], "rejection": ""})
    with pytest.raises(InputError, match="v4 and 3 more of vfhq"):
        require_untrained(shared, "new", plans={"vfhq": everything})
    require_untrained(shared, "old", plans={"vfhq": everything})
    require_untrained(shared, "new", plans={"vfhq": trained.assign(rejection=Rejection.BENCHMARK)})
    require_untrained(shared, "new", plans={})


def test_thousands_of_videos_are_compared():
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
    ids = [f"{alphabet[i % 32]}{alphabet[i // 32 % 32]}{i:09d}" for i in range(16000)]
    train = videos(*(f"vfhq/videos/Clip+{name}+P0+C0+F1-99.mp4" for name in ids))
    test = videos(*(f"vfhq_test/Clip+{name}+P1+C0+F1-99.mp4" for name in ids[::500]))
    assert len(pairs(train, test)) == 32
