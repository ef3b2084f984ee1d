"""The codecs of a result, and its tags."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from vividface.config import EnhanceConfig
from vividface.errors import InputError
from vividface.restoration.encoders import ENCODERS, VideoTrack
from vividface.restoration.look import Look

from .helpers import decode, encode, ffmpeg, keep, run, streams, times

CONFIG = {"window": 9, "overlap": 2, "cut_threshold": None}


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        ("h264", ".mp4", "h264"),
        ("h265", ".mp4", "hevc"),
        ("h265", ".mkv", "hevc"),
        ("av1", ".mp4", "libdav1d"),
        ("av1", ".mkv", "libdav1d"),
        ("ffv1", ".mkv", "ffv1"),
        ("prores", ".mov", "prores"),
    ],
)
def test_every_codec_keeps_pictures_and_times(codec, suffix, name, tmp_path):
    source = encode(tmp_path / "in.mp4", size=(96, 80), count=40)
    result = tmp_path / f"new{suffix}"
    run(source, result, keep, config=EnhanceConfig(**CONFIG, codec=codec))
    assert streams(result)[0][1] == name
    shown, tolerance = times(result), 0.0011 if suffix == ".mkv" else 1e-3
    assert [time - shown[0] for time in shown] == pytest.approx(times(source), abs=tolerance)
    for (_, before, _), (_, after, _) in zip(decode(source), decode(result), strict=True):
        assert np.abs(after.astype(int) - before).mean() < 3
    again = tmp_path / f"again{suffix}"
    run(source, again, keep, config=EnhanceConfig(**CONFIG, codec=codec))
    assert again.read_bytes() == result.read_bytes()
    if (codec, suffix) == ("h265", ".mp4"):
        assert b"hvc1" in result.read_bytes(), "what QuickTime plays"


def test_quality_is_the_rate_factor(tmp_path):
    source = tmp_path / "in.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.8", "-vf", "noise=alls=20:allf=t")
    ffmpeg(*picture, "-c:v", "libx264", "-crf", "10", "-pix_fmt", "yuv420p", source)
    sizes = []
    for quality in (10, 30):
        result = tmp_path / f"{quality}.mp4"
        run(source, result, keep, config=EnhanceConfig(**CONFIG, quality=quality))
        sizes.append(result.stat().st_size)
    assert sizes[0] > 3 * sizes[1]


@pytest.mark.parametrize(
    ("made", "expected"), [("libx265", "hevc"), ("mpeg2video", "h264"), ("ffv1", "ffv1")]
)
def test_the_codec_of_the_input(made, expected, tmp_path):
    source, result = tmp_path / "in.mkv", tmp_path / "new.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.4,format=yuv420p", "-c:v", made, source)
    notes = run(source, result, keep, config=EnhanceConfig(**CONFIG, codec="copy-of-input")).notes
    assert streams(result)[0][1] == expected
    told = ["the input's codec (mpeg2video) cannot be written here: the result is H.264"]
    assert notes == (told if made == "mpeg2video" else [])


@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        ({"codec": "ffv1"}, "new.mp4", r"new\.mp4: does not hold ffv1; use \.mkv, or another --codec"),
        ({"codec": "av1"}, "new.mov", r"new\.mov: does not hold av1"),
        ({"codec": "ffv1", "quality": 3}, "new.mkv", "--quality 3: ffv1 has no rate factor"),
        ({"quality": 60}, "new.mp4", "--quality 60: is not in the range of h264, 0 to 51"),
    ],
)
def test_what_does_not_fit_is_told_before_a_frame_is_restored(options, name, message, tmp_path):
    source = encode(tmp_path / "in.mp4")

    def fail(frames):
        raise AssertionError("a frame was restored")

    with pytest.raises(InputError, match=message):
        run(source, tmp_path / name, fail, config=EnhanceConfig(**CONFIG, **options))


def test_layouts_are_kept_or_the_nearest():
    def layout(of_source, codec):
        return VideoTrack(size=(64, 48), fps=Fraction(25), look=Look(of_source), codec=codec).layout

    assert layout("yuv422p10le", "h264") == "yuv422p10le"
    assert layout("yuv422p", "av1") == "yuv420p"
    assert layout("yuv444p10le", "av1") == "yuv420p10le"
    assert layout("yuv420p", "prores") == "yuv422p10le"
    assert layout("gray", "h264") == "yuv420p"
    assert layout("gray", "ffv1") == "gray"
    assert set(ENCODERS) == {"h264", "h265", "av1", "ffv1", "prores"}


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_hdr10_is_kept(codec, tmp_path):
    source, result = tmp_path / "in.mp4", tmp_path / "new.mp4"
    params = (
        "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:hdr10=1:max-cll=1000,400:log-level=error:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    )
    picture = ("-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=0.4")
    ffmpeg(*picture, "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", params, source)
    run(source, result, keep, config=EnhanceConfig(**CONFIG, codec=codec))
    (_, _, before), (_, _, after) = decode(source)[0], decode(result)[0]
    assert (after.color_trc, after.color_primaries, after.colorspace) == (16, 9, 9)

    def light(frame):
        data = bytes(frame.side_data.get("MASTERING_DISPLAY_METADATA"))
        pairs = struct.unpack_from("<20i", data)
        level = struct.unpack_from("<2I", bytes(frame.side_data.get("CONTENT_LIGHT_LEVEL")))
        return [top / bottom for top, bottom in zip(pairs[::2], pairs[1::2], strict=True)], level

    assert light(after)[0] == pytest.approx(light(before)[0], rel=0.01)
    assert light(after)[1] == light(before)[1] == (1000, 400)


def test_untagged_video_that_becomes_high_definition_is_tagged(tmp_path):
    source = encode(tmp_path / "in.mp4", size=(64, 480), matrix=2, primaries=2, transfer=2, range=0, count=4)
    run(source, tmp_path / "same.mp4", keep)
    run(source, tmp_path / "large.mp4", keep, config=EnhanceConfig(**CONFIG, scale=2))
    assert decode(tmp_path / "same.mp4")[0][2].colorspace == 2
    assert decode(tmp_path / "large.mp4")[0][2].colorspace == 6


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_result_says_what_was_done(suffix, tmp_path):
    ffmpeg(
        "-i",
        encode(tmp_path / "plain.mp4"),
        "-c",
        "copy",
        "-metadata",
        "comment=Grandma",
        tmp_path / "in.mp4",
    )
    result = tmp_path / f"new{suffix}"
    run(tmp_path / "in.mp4", result, keep, config=EnhanceConfig(**CONFIG, quality=20))
    with av.open(str(result)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    comment = tags["comment"]
    assert comment.startswith("Grandma\nEnhanced by VividFace ")
    assert "quality 20" in comment


def test_h265_in_m4v(tmp_path):
    source, result = encode(tmp_path / "in.mp4"), tmp_path / "new.m4v"
    run(source, result, keep, config=EnhanceConfig(**CONFIG, codec="h265"))
    assert [stream[:2] for stream in streams(result)] == [("video", "hevc"), ("audio", "aac")]
