"""Videos under evaluation, found by their names."""

import cv2
import numpy as np
import pytest

from vividface.errors import InputError
from vividface.evaluation import footage
from vividface.evaluation.footage import find_footage, footage_of
from vividface.video import write_clip


def write_frames(folder, frames):
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index}.png"), frame[..., ::-1])


def test_videos_and_folders_of_frames_are_found_by_name(moving_frames, tmp_path):
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    frames = np.concatenate([moving_frames, moving_frames[::-1]])
    write_frames(tmp_path / "b", frames)
    (tmp_path / "c").mkdir()
    (tmp_path / "notes.txt").write_text("")
    found = find_footage(tmp_path)
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"].read(), moving_frames)
    np.testing.assert_array_equal(found["b"].read(), frames)
    np.testing.assert_array_equal(find_footage(tmp_path / "b")["b"].read(), frames)
    np.testing.assert_array_equal(find_footage(tmp_path / "a.mkv")["a"].read(), moving_frames)


def test_frames_of_a_long_clip_are_in_a_file(moving_frames, tmp_path, monkeypatch):
    monkeypatch.setattr(footage, "_IN_MEMORY", 1000)
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    frames = footage_of(tmp_path / "a.mkv").read()
    assert isinstance(frames, np.memmap)
    np.testing.assert_array_equal(frames, moving_frames)


def test_what_is_wrong_is_said_with_its_place(moving_frames, tmp_path):
    with pytest.raises(InputError, match="there is no such file or folder"):
        find_footage(tmp_path / "none")
    with pytest.raises(InputError, match="neither videos nor folders of frames"):
        find_footage(tmp_path)
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    write_frames(tmp_path / "a", moving_frames)
    with pytest.raises(InputError, match=r"a\.mkv: has the name of a; rename one"):
        find_footage(tmp_path)
    cv2.imwrite(str(tmp_path / "a/3.png"), moving_frames[0][:-2])
    with pytest.raises(InputError, match="frame 4 has another size"):
        footage_of(tmp_path / "a").read()
    (tmp_path / "a/3.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"3\.png: cannot be read as an image"):
        footage_of(tmp_path / "a").read()


def test_a_file_that_is_written_again_is_another(moving_frames, tmp_path):
    path = tmp_path / "a.mkv"
    write_clip(path, moving_frames, 25)
    before = footage_of(path).written
    assert footage_of(path).written == before
    write_clip(path, moving_frames[:5], 25)
    assert footage_of(path).written != before
