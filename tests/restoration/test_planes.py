"""What is not changed is stored as it was, in every kind of pixel."""

import av
import numpy as np
import pytest

from vividface.restoration.planes import layout_of, planes_of, stored_as
from vividface.video import read_clip

from .helpers import WINDOWS, decode, ffmpeg, keep, run

PICTURES = "testsrc2=s=192x144:r=20:d=0.4,hue=s=0.6"
# Levels of 8 bits that luma and chroma may move in the mean, over one pass and over four.
ONE_PASS, FOUR_PASSES = 0.1, 0.3


def means(path):
    """The mean of each plane, in levels of 8 bits."""
    with av.open(str(path)) as container:
        found = []
        for frame in container.decode(video=0):
            layout = layout_of(frame.format.name)
            planes = planes_of(stored_as(frame, layout, matrix=1, full_range=frame.color_range == 2))
            found.append([plane.mean() / (4 if layout.endswith("10le") else 1) for plane in planes])
    return np.mean(found, axis=0)


def touch(frames):
    """Brighten a corner."""
    changed = frames.copy()
    changed[:, 8:20, 8:20] += np.array(np.iinfo(frames.dtype).max // 16, frames.dtype)
    return changed


@pytest.mark.parametrize(
    ("pixel_format", "matrix"),
    [
        ("yuv420p", "bt709"),
        ("yuv420p", "bt470bg"),
        ("yuv420p", "bt2020nc"),
        ("yuv420p", None),
        ("yuvj420p", "bt470bg"),
        ("yuv422p", "bt709"),
        ("yuv444p", "bt709"),
        ("yuv420p10le", "bt2020nc"),
        ("yuv422p10le", None),
        ("nv12", None),
        ("uyvy422", None),
        ("yuv411p", None),
        ("gray", None),
        ("gray10le", None),
    ],
)
def test_nothing_drifts(pixel_format, matrix, tmp_path):
    source = tmp_path / "in.nut"
    tags = ("-colorspace", matrix) if matrix else ()
    made = ("-f", "lavfi", "-i", f"{PICTURES},format={pixel_format}", "-pix_fmt", pixel_format)
    ffmpeg(*made, *tags, "-c:v", "rawvideo", source)
    expected, passed = means(source), source
    for index in range(4):
        result = tmp_path / f"{index}.mp4"
        run(passed, result, keep)
        passed = result
        shift = (means(passed)[: len(expected)] - expected).tolist()
        assert shift == pytest.approx([0] * len(expected), abs=FOUR_PASSES if index else ONE_PASS)
    (_, _, frame) = decode(passed)[0]
    assert frame.format.name.replace("yuvj", "yuv").startswith("yuv")
    if pixel_format.startswith("gray"):
        assert means(passed)[1:] == pytest.approx([128, 128], abs=0.01)


@pytest.mark.parametrize("pixel_format", ["gbrp", "bgr0", "gbrp10le", "rgb48le"])
def test_rgb_becomes_bt709(pixel_format, tmp_path):
    source = tmp_path / "in.nut"
    made = ("-f", "lavfi", "-i", f"{PICTURES},format={pixel_format}", "-pix_fmt", pixel_format)
    ffmpeg(*made, "-c:v", "rawvideo", source)
    run(source, tmp_path / "new.mp4", keep)
    with av.open(str(source)) as container:
        name, peak = ("rgb24", 255) if pixel_format in ("gbrp", "bgr0") else ("rgb48le", 65535)
        colours = np.stack([frame.to_ndarray(format=name) for frame in container.decode(video=0)]) / peak
    luma = colours @ (0.2126, 0.7152, 0.0722)
    blue, red = (colours[..., 2] - luma) / 1.8556, (colours[..., 0] - luma) / 1.5748
    expected = [16 + 219 * luma.mean(), 128 + 224 * blue.mean(), 128 + 224 * red.mean()]
    assert means(tmp_path / "new.mp4").tolist() == pytest.approx(expected, abs=0.15)
    (_, _, frame) = decode(tmp_path / "new.mp4")[0]
    assert frame.format.name == ("yuv420p10le" if "10" in pixel_format or "48" in pixel_format else "yuv420p")
    assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (1, 1, 1, 1)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p", "gray", "bgr0"])
def test_a_lossless_result_differs_in_what_was_restored_alone(pixel_format, tmp_path):
    source, result = tmp_path / "in.mkv", tmp_path / "new.mkv"
    ffmpeg("-f", "lavfi", "-i", f"{PICTURES},format={pixel_format}", "-c:v", "ffv1", source)
    run(source, result, touch, config=WINDOWS.model_copy(update={"codec": "ffv1"}))
    with av.open(str(source)) as one, av.open(str(result)) as other:
        for before, after in zip(one.decode(video=0), other.decode(video=0), strict=True):
            layout = layout_of(before.format.name)
            assert layout_of(after.format.name) == layout
            stored = [
                planes_of(stored_as(frame, layout, matrix=1, full_range=False)) for frame in (before, after)
            ]
            for old, new in zip(*stored, strict=True):
                changed = np.argwhere(old != new)
                scale = np.array([144, 192]) // old.shape
                assert (changed * scale).max(initial=0) < 20 + 2 * 8
            assert np.abs(stored[0][0].astype(int) - stored[1][0])[10:18, 10:18].mean() > 4


def test_sides_that_are_odd_keep_their_pixels(tmp_path):
    source, result = tmp_path / "in.mkv", tmp_path / "new.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=97x65:r=20:d=0.4,format=yuv420p", "-c:v", "ffv1", source)
    run(source, result, touch, config=WINDOWS.model_copy(update={"codec": "ffv1"}))
    before, after = read_clip(source)[:, :64, :96], read_clip(result)
    assert after.shape == before.shape
    assert np.array_equal(before[:, 40:62, 40:94], after[:, 40:62, 40:94])
