"""The tables of clips: gathered, kept, located."""

import pandas as pd
import pytest

from vividface.data.clips import gather_clips, kept_clips, locate_clips
from vividface.errors import InputError


def table(*rejections):
    """A shard's clips, each kept or rejected."""
    reasons = [rejection and f"{rejection}: details" for rejection in rejections]
    ids = [f"{len(rejections) - index}-{id(rejections)}" for index in range(len(rejections))]
    kept = [not rejection for rejection in rejections]
    return pd.DataFrame({"clip_id": ids, "kept": kept, "rejection": rejections, "reason": reasons})


def test_too_many_rejections_stop_the_run():
    gathered = gather_clips([table("", "no face"), table("", "small face")], max_rejected_share=0.5)
    assert list(gathered["clip_id"]) == sorted(gathered["clip_id"])
    assert len(gathered) == 4
    assert len(gather_clips([table(""), table()], max_rejected_share=0.5)) == 1
    message = r"3 of 4 clips \(75%\) were rejected: 2 x small face, 1 x no face; for example, small face: det"
    with pytest.raises(InputError, match=message):
        gather_clips([table("small face", "no face"), table("", "small face")], max_rejected_share=0.5)
    with pytest.raises(InputError, match="1 of 1 clips"):
        gather_clips([table("no face")], max_rejected_share=1.0)
    with pytest.raises(InputError, match="if the benchmarks have changed, plan the clips again"):
        gather_clips([table("in a benchmark")], max_rejected_share=0.5)
    with pytest.raises(InputError, match="no clip was planned"):
        gather_clips([table()], max_rejected_share=0.5)


def write_clips(path, **columns):
    path.parent.mkdir(parents=True)
    pd.DataFrame(columns).to_parquet(path)
    return path


def test_kept_clips_are_listed_and_located(tmp_path):
    clips = {"clip_id": ["b-000000", "a-000000", "c-000000"], "kept": [True, True, False]}
    path = write_clips(tmp_path / "data/demo/clips.parquet", **clips, shard=["0000", "0001", "0000"])
    assert list(kept_clips([path])["clip_id"]) == ["a-000000", "b-000000"]
    assert list(kept_clips([path], "0000")["clip_id"]) == ["b-000000"]
    assert set(kept_clips([path])["dataset"]) == {"demo"}
    located = locate_clips([path], hq=["data/demo/hq/0001", "data/demo/hq/0000"])
    assert list(located["hq"]) == ["data/demo/hq/0001/a-000000.mkv", "data/demo/hq/0000/b-000000.mkv"]


def test_clips_of_several_datasets_are_located_in_their_own_folders(tmp_path):
    tables = [
        write_clips(tmp_path / f"data/{name}/clips.parquet", clip_id=[clip], kept=[True], shard=["0000"])
        for name, clip in (("one", "b-000000"), ("two", "a-000000"))
    ]
    folders = {kind: [f"data/{name}/{kind}/0000" for name in ("one", "two")] for kind in ("hq", "lq")}
    located = locate_clips(tables, **folders)
    assert list(located["dataset"]) == ["two", "one"]
    assert list(located["hq"]) == ["data/two/hq/0000/a-000000.mkv", "data/one/hq/0000/b-000000.mkv"]
    assert list(located["lq"]) == ["data/two/lq/0000/a-000000.mkv", "data/one/lq/0000/b-000000.mkv"]


def test_clips_of_the_same_id_in_two_datasets_are_refused(tmp_path):
    tables = [
        write_clips(tmp_path / name / "clips.parquet", clip_id=["a-000000"], kept=[True], shard=["0000"])
        for name in ("one", "two")
    ]
    with pytest.raises(InputError, match="one and two have clips of the same id, such as a-000000"):
        kept_clips(tables)
