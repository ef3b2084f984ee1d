"""Photographs as moving clips."""

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter

from vividface.config.datasets import Source
from vividface.data.photos import moving_clip
from vividface.data.sources import fetch_dataset
from vividface.errors import InputError
from vividface.video import probe, read_clip


@pytest.fixture
def photo():
    """A smooth picture whose motion can be followed."""
    y, x = np.mgrid[:120, :151]
    picture = np.stack([x, y, (x + y) / 2], axis=-1) * 0.9
    return picture.astype(np.uint8)


def photos_source(path, **values):
    return TypeAdapter(Source).validate_python({"kind": "photos", "path": path, **values})


def test_each_photograph_becomes_a_clip_that_is_the_same_again(tmp_path, photo):
    (tmp_path / "photos/inner").mkdir(parents=True)
    for name in ("a.png", "inner/b.jpg", "inner/notes.txt"):
        if name.endswith("txt"):
            (tmp_path / "photos" / name).write_text("no picture")
        else:
            cv2.imwrite(str(tmp_path / "photos" / name), photo)
    source = photos_source(tmp_path / "photos", num_frames=9, max_size=100)
    first, second = (fetch_dataset("p", source, directory=tmp_path / name) for name in ("one", "two"))
    assert list(first["video_id"]) == ["a", "b"]
    assert list(first["sha256"]) == list(second["sha256"])
    clip = read_clip(first["path"][0])
    assert len(clip) == 9
    assert max(clip.shape[1:3]) == 100
    assert probe(first["path"][0]).fps == 25
    other = fetch_dataset("p", source, directory=tmp_path / "three", seed=1)
    assert list(first["sha256"]) != list(other["sha256"])
    longer = photos_source(tmp_path / "photos", num_frames=13, max_size=100)
    again = fetch_dataset("p", longer, directory=tmp_path / "one")
    assert len(read_clip(again["path"][0])) == 13


def test_the_motion_is_gentle_and_some_clips_end_at_rest(photo):
    at_rest = 0
    for seed in range(20):
        clip = moving_clip(photo, 17, np.random.default_rng(seed)).astype(int)
        assert clip.shape == (17, 120, 150, 3)
        steps = np.abs(np.diff(clip, axis=0)).mean((1, 2, 3))
        assert steps.max() > 0
        # The picture's slope is one level per px: so many px from frame to frame at most.
        assert steps.max() < 4
        at_rest += steps[-1] == 0
    assert 3 <= at_rest <= 17


def test_what_is_no_photograph_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.p\.source\.path: there is no folder"):
        fetch_dataset("p", photos_source(tmp_path / "none"), directory=tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"no photograph in .* matches the pattern"):
        fetch_dataset("p", photos_source(tmp_path / "photos"), directory=tmp_path)
    (tmp_path / "photos/a.png").write_text("a letter")
    with pytest.raises(InputError, match=r"a\.png: is not a readable image"):
        fetch_dataset("p", photos_source(tmp_path / "photos"), directory=tmp_path)
