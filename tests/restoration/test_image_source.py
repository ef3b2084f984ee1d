"""Which images a folder or pattern stands for and in which order, and animations."""

import shutil
import struct
import zlib
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from vividface.errors import InputError
from vividface.restoration.opening import open_source

from .helpers import picture, run


def still(index):
    return Image.fromarray(picture(index).astype(np.uint8))


def keep(frames):
    return frames


@pytest.fixture
def frames(tmp_path):
    """Twelve frames whose numbers have no leading zeros, and what other systems leave beside them."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(1, 13):
        still(index).save(folder / f"frame{index}.png")
        (folder / f"._frame{index}.png").write_bytes(b"\0\5\x16\7a shadow")
    (folder / "Thumbs.db").write_bytes(b"thumbnails")
    (folder / ".DS_Store").touch()
    return folder


def order(source):
    """The indices of a source's pictures, by what they show."""
    known = {picture(index).astype(np.uint8).tobytes(): index for index in range(25)}
    return [known[shown.pixels.tobytes()] for shown in source.pictures()]


@pytest.mark.parametrize("pattern", ["", "frame%d.png", "frame%u.png", "*.png", "frame*"])
def test_frames_come_in_the_order_of_their_numbers_without_hidden_files(pattern, frames):
    source = open_source(frames / pattern)
    assert order(source) == list(range(1, 13))
    assert (source.notes, source.num_frames) == ([], 12)


def test_capitals_and_several_numbers(tmp_path):
    for index, name in enumerate(["Shot2_9.png", "shot2_10.PNG", "shot10_1.png"]):
        still(index).save(tmp_path / name)
    assert order(open_source(tmp_path)) == [0, 1, 2]


def test_leading_zeros_are_read_as_c_reads_them(tmp_path):
    for index, name in enumerate(["0008.png", "0009.png", "10000.png", "7.png", "00011.png"]):
        still(index).save(tmp_path / name)
    assert order(open_source(tmp_path / "%04d.png")) == [0, 1, 2]
    assert order(open_source(tmp_path / "%d.png")) == [3, 2]
    with pytest.raises(InputError, match=r"x%04d\.png: no image fits this pattern; check it, and quote it"):
        open_source(tmp_path / "x%04d.png")
    with pytest.raises(InputError, match="no image fits this pattern"):
        open_source(tmp_path / "nowhere" / "%04d.png")


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path):
    still(5).save(tmp_path / "100%d.png")
    still(6).save(tmp_path / "1001.png")
    assert order(open_source(tmp_path / "100%d.png")) == [5]


def test_a_gap_in_the_numbers_is_told(frames, tmp_path):
    for index in (5, 6, 7, 10):
        (frames / f"frame{index}.png").unlink()
    result = run(frames, tmp_path / "new", keep)
    assert result.notes == [
        "the frames' numbers have gaps, the first behind frame4.png: 4 of them are missing, and the others "
        "follow each other without a pause"
    ]
    # Every second frame is no gap.
    for index in (1, 3, 9, 11):
        (frames / f"frame{index}.png").unlink()
    still(6).save(frames / "frame6.png")
    still(10).save(frames / "frame10.png")
    assert open_source(frames / "frame%d.png").notes == []


def test_frames_with_transparency_become_a_video_on_white(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(5):
        image = still(index)
        alpha = Image.new("L", image.size, 255)
        alpha.paste(0, (0, 0, 20, 50))
        image.putalpha(alpha)
        image.save(folder / f"{index}.png")
    result = run(folder, tmp_path / "new.mp4", keep)
    assert result.notes == ["the transparency cannot be stored in mp4: it is white now"]
    with av.open(str(tmp_path / "new.mp4")) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 5
    assert shown[4][:, :16].min() > 240
    assert shown[4][:, 40:].mean() < 200
    assert run(folder, tmp_path / "new", keep).notes == []
    with Image.open(tmp_path / "new" / "4.png") as after, Image.open(folder / "4.png") as before:
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


def test_two_images_of_one_name_stay_two(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, name in enumerate(["a.jpg", "a.png", "b.png"]):
        still(index).save(folder / name)
    run(folder, tmp_path / "new", keep)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.jpg.png", "a.png.png", "b.png"]


def test_a_truncated_frame_is_named(frames, tmp_path):
    data = (frames / "frame3.png").read_bytes()
    (frames / "frame3.png").write_bytes(data[: len(data) // 2])
    result = run(frames, tmp_path / "new.mp4", keep)
    assert (result.problem, result.num_frames) == ("frame3.png is truncated or damaged", 12)


DELAYS = [100, 40, 250, 70, 5]


def animated(path, *, transparent=False, loop=0, delays=DELAYS):
    frames = []
    for index in range(len(delays)):
        image = still(4 * index).convert("RGBA")
        if transparent:
            image.paste((255, 0, 255, 0), (0, 30, 66, 50))
        frames.append(image)
    options = {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
    if path.suffix in (".gif", ".webp", ".png", ".apng") and loop is not None:
        options["loop"] = loop
    form = {"format": "PNG"} if path.suffix == ".apng" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=delays, **form, **options)
    return path


@pytest.mark.parametrize("suffix", [".webp", ".png", ".apng", ".gif", ".avif"])
def test_an_animation_becomes_a_video_with_its_delays(suffix, tmp_path):
    path = animated(tmp_path / f"in{suffix}")
    result = run(path, tmp_path / "new.mp4", keep)
    assert (result.num_frames, result.problem) == (5, "")
    assert result.notes == ["the loop cannot be stored in mp4: it is played once now"]
    with av.open(str(tmp_path / "new.mp4")) as container:
        shown = list(container.decode(video=0))
        # Browsers show for 100 ms what is to be shown for less than 10.
        assert [round(frame.time * 1000) for frame in shown] == [0, 100, 140, 390, 460]
        assert container.duration == 560_000
    for index, frame in enumerate(shown):
        change = frame.to_ndarray(format="rgb24").astype(int) - picture(4 * index).astype(np.uint8)
        assert np.abs(change).mean() < 5


@pytest.mark.parametrize("suffix", [".webp", ".png", ".gif"])
def test_an_animation_with_transparency_is_shown_on_white(suffix, tmp_path):
    path = animated(tmp_path / f"in{suffix}", transparent=True, loop=None if suffix == ".gif" else 1)
    result = run(path, tmp_path / "new.mkv", keep)
    assert result.notes == ["the transparency cannot be stored in mkv: it is white now"]
    with av.open(str(tmp_path / "new.mkv")) as container:
        for frame in container.decode(video=0):
            assert frame.to_ndarray(format="rgb24")[34:].min() > 240


def test_delays_of_fractions_of_a_millisecond_add_up(tmp_path):
    """A delay of APNG is a fraction: at 30 frames a second the 31st frame comes after a second."""
    frames = [still(0), still(1)] * 16
    frames[0].save(
        tmp_path / "40.png", save_all=True, append_images=frames[1:], duration=40, default_image=False
    )
    data = bytearray((tmp_path / "40.png").read_bytes())
    at = data.find(b"fcTL")
    while at >= 0:
        data[at + 24 : at + 28] = struct.pack(">HH", 1, 30)
        length = struct.unpack_from(">I", data, at - 4)[0]
        data[at + 4 + length : at + 8 + length] = struct.pack(">I", zlib.crc32(data[at : at + 4 + length]))
        at = data.find(b"fcTL", at + 4)
    (tmp_path / "in.png").write_bytes(data)
    source = open_source(tmp_path / "in.png")
    assert [shown.time for shown in source.pictures()][::15] == [0, 500, 1000]
    assert float(source.fps) == pytest.approx(30, abs=0.02)


def test_the_picture_for_those_who_cannot_show_apng_is_none_of_its_frames(tmp_path):
    cover, frames = Image.new("RGB", (66, 50), "red"), [still(index) for index in range(3)]
    cover.save(tmp_path / "in.png", save_all=True, append_images=frames, default_image=True, duration=40)
    assert order(open_source(tmp_path / "in.png")) == [0, 1, 2]


def test_an_animation_of_one_frame_is_an_image(tmp_path):
    still(3).save(tmp_path / "in.gif")
    run(tmp_path / "in.gif", tmp_path / "new.png", keep)
    assert cv2.imread(str(tmp_path / "new.png")).shape == (50, 66, 3)


def test_an_animation_that_is_no_image_file_is_refused(tmp_path):
    path = animated(tmp_path / "in.webp")
    with pytest.raises(InputError, match=r"new\.webp: unsupported container; use .*\.mp4"):
        run(path, tmp_path / "new.webp", keep)


def test_of_a_truncated_animation_the_first_frames_are_enhanced(tmp_path):
    path = animated(tmp_path / "whole.gif", delays=[100] * 10)
    data = path.read_bytes()
    (tmp_path / "in.gif").write_bytes(data[: len(data) * 2 // 3])
    result = run(tmp_path / "in.gif", tmp_path / "new.mp4", keep)
    assert 4 <= result.num_frames < 10
    assert result.problem == "is truncated or damaged"


def test_an_animation_in_a_folder_of_frames_gives_its_first_picture(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(3):
        shutil.copy(animated(tmp_path / "in.webp"), folder / f"{index}.webp")
    source = open_source(folder, fps=Fraction(10))
    assert order(source) == [0, 0, 0]
    assert source.notes == ["only the first of 5 pictures in a file is enhanced: the others are left out"]
