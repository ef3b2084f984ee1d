"""Folders of frames, patterns and images."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from vividface.errors import InputError
from vividface.restoration.enhance import enhance
from vividface.restoration.opening import open_source
from vividface.video import probe

from .helpers import WINDOWS, picture, restorer_of, run


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(11):
        cv2.imwrite(str(folder / f"{index:03d}.png"), picture(index)[..., ::-1].astype(np.uint8))
    return folder


def test_a_folder_of_frames_becomes_a_folder_or_a_video(frames, tmp_path):
    result = run(frames, tmp_path / "new")
    assert result.num_frames == 11
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == [f"{index:03d}.png" for index in range(11)]
    restored = cv2.imread(str(tmp_path / "new" / "004.png"))[..., ::-1].astype(int)
    assert np.abs(restored - picture(4).astype(np.uint8) - 21).max() <= 1
    source = open_source(frames, fps=Fraction(12))
    enhance(source, tmp_path / "new.mp4", restorer=restorer_of(), config=WINDOWS, progress=False)
    assert (probe(tmp_path / "new.mp4").num_frames, probe(tmp_path / "new.mp4").fps) == (11, 12)


def test_a_pattern_chooses_frames(frames, tmp_path):
    assert run(frames / "00[0-4].png", tmp_path / "new").num_frames == 5
    with pytest.raises(InputError, match="no image fits this pattern"):
        run(frames / "*.jpg", tmp_path / "other")


def test_a_folder_of_images_replaces_no_other(frames, tmp_path, monkeypatch):
    run(frames, tmp_path / "new")
    run(frames, tmp_path / "new", overwrite=True)
    (tmp_path / "new" / "diary.txt").touch()
    (tmp_path / "above").mkdir()
    (tmp_path / "above" / "frames").symlink_to(frames)
    monkeypatch.chdir(frames)
    for source, output, message in (
        (frames, tmp_path / "new", "new: is a folder with more than PNG images in it, which stays"),
        (frames, tmp_path / "above", "above: is a folder with more than PNG images"),
        (frames / "*.png", frames, "frames: is the input itself"),
        (frames / "*.png", "..", r"\.\.: is no name of a result"),
        (frames / "00[0-4].png", ".", "is the input itself"),
        (tmp_path / "new" / "000.png", frames / "..", "is no name of a result"),
    ):
        with pytest.raises(InputError, match=message):
            run(source, output, overwrite=True)
    assert len(list(frames.iterdir())) == 11
    assert (tmp_path / "new" / "diary.txt").exists()


def test_an_image_becomes_an_image(frames, tmp_path):
    run(frames / "003.png", tmp_path / "new.jpg", compare=tmp_path / "both.png")
    image = cv2.imread(str(tmp_path / "new.jpg"))[..., ::-1].astype(int)
    assert np.abs(image - picture(3).astype(np.uint8) - 21).mean() < 4
    assert cv2.imread(str(tmp_path / "both.png")).shape == (300, 792, 3)
    deep = (picture(3) * 257).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    run(tmp_path / "deep.png", tmp_path / "new.png")
    restored = cv2.imread(str(tmp_path / "new.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert restored.dtype == np.uint16
    assert np.abs(restored.astype(int) - deep - 65535 // 12).max() <= 1


def test_frames_of_two_sizes_are_refused(frames, tmp_path):
    cv2.imwrite(str(frames / "005.png"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(InputError, match=r"005\.png: is 20x20, but the frames before it are 66x50"):
        run(frames, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (frames / "005.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="is not a readable image"):
        run(frames, tmp_path / "new")


def test_a_source_that_cannot_be_opened_says_what_it_is(frames, tmp_path):
    with pytest.raises(InputError, match=r"nothing\.mp4: there is no such file or folder; check the path"):
        open_source(tmp_path / "nothing.mp4")
    with pytest.raises(InputError, match="--fps 0: is not positive"):
        open_source(frames, fps=Fraction(0))
    empty, videos = tmp_path / "empty", tmp_path / "videos"
    empty.mkdir()
    with pytest.raises(InputError, match="empty: holds neither videos nor images"):
        open_source(empty)
    videos.mkdir()
    (videos / "a.mp4").touch()
    with pytest.raises(InputError, match="videos: is a folder of videos; give one of them"):
        open_source(videos)
