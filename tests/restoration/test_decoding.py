"""Frames around damage, of fields, and of changing sizes."""

import av
import numpy as np
import pytest

from vividface.restoration.reading import VideoSource

from .helpers import decode, encode, ffmpeg, keep, run, times

FIELDS = "testsrc2=s=96x64:r=50:d=1,scroll=h=0.05,tinterlace=interleave_top,setfield=tff"


def combing(frames):
    """How much more neighbouring rows differ than rows of one field."""
    luma = np.stack(frames).astype(float).mean(axis=-1)
    return np.abs(np.diff(luma, axis=1)).mean() / np.abs(luma[:, 2:] - luma[:, :-2]).mean()


@pytest.fixture
def interlaced(tmp_path):
    path = tmp_path / "in.mpg"
    flags = ("-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme")
    ffmpeg("-f", "lavfi", "-i", FIELDS, *flags, path)
    return path


def test_interlaced_footage_is_deinterlaced_unless_told(interlaced, tmp_path):
    results = {}
    for setting in ("auto", "on", "off"):
        source = VideoSource(interlaced, deinterlacing=setting)
        results[setting] = [picture.pixels for picture in source.pictures()]
        assert (source.notes != []) == (setting != "off")
    assert len(results["auto"]) == len(results["off"]) == 25
    assert combing(results["auto"]) < 0.75 * combing(results["off"])
    assert np.array_equal(results["auto"], results["on"])
    run(interlaced, tmp_path / "new.mp4", keep)
    assert not any(frame.interlaced_frame for _, _, frame in decode(tmp_path / "new.mp4"))
    assert np.diff(times(tmp_path / "new.mp4")) == pytest.approx(0.04, abs=1e-4)


def test_progressive_footage_is_left_alone(tmp_path):
    source = VideoSource(encode(tmp_path / "in.mp4"))
    assert source.notes == []


def test_all_that_can_be_decoded_of_a_truncated_file(tmp_path):
    """The decoder still holds frames when the file ends."""
    whole = tmp_path / "whole.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2")
    ffmpeg(*picture, "-c:v", "libx264", "-bf", "3", "-movflags", "+faststart", whole)
    source = tmp_path / "in.mp4"
    content = whole.read_bytes()
    source.write_bytes(content[: int(len(content) * 0.6)])
    with av.open(str(source)) as container:
        stream, expected = container.streams.video[0], 0
        for packet in container.demux(stream):
            try:
                expected += len(packet.decode())
            except av.FFmpegError:
                continue
    result = run(source, tmp_path / "new.mp4", keep)
    assert result.problem == "is truncated"
    assert result.num_frames == expected
    assert 20 < expected < 50


def test_a_stream_that_changes_its_size_is_fitted_into_one(tmp_path):
    pieces = []
    for index, size in enumerate(("96x64", "64x64")):
        ffmpeg(
            "-f", "lavfi", "-i", f"color=white:s={size}:r=25:d=0.4", "-c:v", "libx264",
            "-output_ts_offset", 10 + 0.4 * index, tmp_path / f"{index}.ts",
        )  # fmt: skip
        pieces.append((tmp_path / f"{index}.ts").read_bytes())
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(pieces))
    result = run(source, tmp_path / "new.mp4", keep)
    assert result.num_frames == 20
    assert result.problem == ""
    assert result.notes == ["the frames change their size: all were fitted into 96x64"]
    last = decode(tmp_path / "new.mp4")[-1][1].astype(int)
    assert last[:, 20:76].min() > 240, "square as before"
    assert last[:, :12].max() < 20, "and bars beside it"


def test_avi_says_nothing_of_presentation(tmp_path):
    encode(tmp_path / "in.mp4", tone=False, times=[24 * index for index in range(20)])
    ffmpeg("-i", tmp_path / "in.mp4", "-c", "copy", tmp_path / "in.avi")
    run(tmp_path / "in.avi", tmp_path / "new.mp4", keep)
    assert times(tmp_path / "new.mp4") == pytest.approx([index / 25 for index in range(20)], abs=1e-3)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparency_beside_the_frames_is_told_of(codec, tmp_path):
    """WebM stores it as a second picture of each frame."""
    source = tmp_path / "in.webm"
    half = ("-vf", "format=yuva420p,geq=lum='p(X,Y)':a=128", "-auto-alt-ref", "0")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.2", *half, "-c:v", codec, source)
    assert VideoSource(source).notes == ["the transparency of the video is left out"]


def test_a_frame_that_is_shown_again_is_no_damage(tmp_path):
    """Theora stores an empty packet for it."""
    source = tmp_path / "in.ogv"
    still = "testsrc2=s=64x48:r=25:d=0.2,tpad=stop_mode=clone:stop_duration=0.2,drawbox=enable='gt(t,0.3)'"
    ffmpeg("-f", "lavfi", "-i", still, "-c:v", "libtheora", source)
    with av.open(str(source)) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.dts is not None]
    assert 0 in sizes
    result = run(source, tmp_path / "new.mkv", keep)
    assert result.problem == ""
    assert times(tmp_path / "new.mkv") == pytest.approx(
        [index * 0.04 for index, size in enumerate(sizes) if size], abs=0.002
    )


def test_a_file_that_becomes_shorter_meanwhile_is_told_of(tmp_path):
    source = tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=12", "-c:v", "mpeg4", "-q:v", "1", source)
    reader = VideoSource(source)
    pictures = reader.pictures()
    next(pictures)
    with source.open("r+b") as file:
        file.truncate(source.stat().st_size // 2)
    assert len(list(pictures)) < 290
    assert reader.problem == "became shorter while it was read"
