"""Clips to try the page with."""

import shutil

import pytest

from vividface.errors import InputError
from vividface.web.examples import MOST, find_examples


def test_a_folder_s_first_videos_that_can_be_read(clip, letter, tmp_path):
    for name in "hgfedcba":
        shutil.copyfile(clip, tmp_path / f"{name}.mp4")
    shutil.copyfile(letter, tmp_path / "0.mp4")
    (tmp_path / "notes.txt").write_text("not a video")
    assert [path.stem for path in find_examples(tmp_path)] == list("abcdef")[:MOST]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no video that can be read"):
        find_examples(tmp_path / "empty")


def test_what_the_demo_made_and_downloaded(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_examples(None) == []
    for name in ("data/held_out/videos/b.mp4", "results/enhanced/lq.mp4", "data/held_out/hq/c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copyfile(clip, tmp_path / name)
    assert [str(path) for path in find_examples(None)] == [
        "results/enhanced/lq.mp4",
        "data/held_out/videos/b.mp4",
    ]
