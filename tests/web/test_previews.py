"""What browsers are shown of files that they cannot play."""

import subprocess

import cv2
import numpy as np
import pytest

from vividface.errors import InputError
from vividface.video import ffmpeg_executable, probe
from vividface.web.jobs import CancelledError
from vividface.web.previews import copy_to_show, image_to_show, is_shown, write_thumbnail


def encode(source, output, *options):
    subprocess.run(
        [ffmpeg_executable(), "-v", "error", "-y", "-i", str(source), *options, str(output)], check=True
    )
    return output


@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        ("a.mp4", ["-c", "copy"], True),
        ("a.mp4", ["-c:v", "libx264", "-pix_fmt", "yuv422p"], False),
        ("a.mp4", ["-c:v", "mpeg4"], False),
        ("a.mkv", ["-c", "copy"], False),
        ("a.mpg", ["-c:v", "mpeg2video"], False),
        ("a.avi", ["-c:v", "mjpeg"], False),
        ("a.webm", ["-c:v", "libvpx-vp9", "-cpu-used", "8", "-frames:v", "3"], True),
    ],
)
def test_what_browsers_play(name, options, shown, clip, tmp_path):
    assert is_shown(encode(clip, tmp_path / name, *options)) == shown


def test_a_copy_is_what_browsers_play(clip, tmp_path):
    tape = encode(clip, tmp_path / "tape.mpg", "-c:v", "mpeg2video", "-vf", "scale=720:576,setsar=16/15")
    copy = copy_to_show(tape, tmp_path / "copy")
    info = probe(copy)
    assert is_shown(copy)
    assert (info.width, info.height) == (768, 576), "its pixels are square"
    assert abs(info.duration - probe(tape).duration) < 0.1
    assert probe(copy_to_show(tape, tmp_path / "start", seconds=0.4)).num_frames <= 11


def test_a_copy_that_nobody_wants_leaves_nothing(clip, tmp_path):
    def raise_cancelled():
        raise CancelledError

    with pytest.raises(CancelledError):
        copy_to_show(clip, tmp_path / "out" / "copy", require_wanted=raise_cancelled)
    assert not list((tmp_path / "out").iterdir())


def test_what_cannot_be_copied_is_said(letter, tmp_path):
    with pytest.raises(InputError, match=r"letter\.mp4: no copy of it can be made that a browser shows"):
        copy_to_show(letter, tmp_path / "copy")


def test_images_of_16_bits_and_thumbnails(clip, tmp_path):
    deep = tmp_path / "deep.tiff"
    cv2.imwrite(str(deep), np.full((20, 30, 3), 0x80FF, np.uint16))
    assert not is_shown(deep)
    shown = cv2.imread(str(image_to_show(deep, tmp_path / "shown")), cv2.IMREAD_UNCHANGED)
    assert (shown.dtype, shown.shape, int(shown[0, 0, 0])) == (np.uint8, (20, 30, 3), 0x80)
    write_thumbnail(clip, tmp_path / "small.jpg", height=90)
    assert cv2.imread(str(tmp_path / "small.jpg")).shape == (90, 160, 3)
