import subprocess
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av.logging
import cv2
import numpy as np
import pytest

from vividface import video
from vividface.errors import InputError
from vividface.video import (
    VideoWriter,
    ffmpeg_executable,
    is_truncated,
    iterate_frames,
    probe,
    read_clip,
    read_masks,
    require_whole,
    write_clip,
)


@pytest.mark.parametrize("codec", ["ffv1", "utvideo"])
def test_lossless_codecs_lose_nothing(codec, tmp_path, moving_frames):
    path = tmp_path / "a.mkv"
    write_clip(path, moving_frames, Fraction(30000, 1001), codec=codec)
    with av.open(path) as container:
        assert container.streams.video[0].codec_context.name == codec
    info = probe(path)
    assert (info.width, info.height, info.num_frames, info.has_audio) == (64, 64, 9, False)
    assert abs(float(info.fps) - 29.97) < 0.01
    assert np.array_equal(read_clip(path), moving_frames)
    assert np.array_equal(read_clip(path, 2, 5), moving_frames[2:5])


@pytest.mark.parametrize("codec", ["ffv1", "utvideo"])
def test_same_frames_same_bytes(codec, tmp_path, moving_frames):
    for name in ("a.mkv", "b.mkv"):
        write_clip(tmp_path / name, moving_frames, 25, codec=codec)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_masks_are_exact(tmp_path):
    masks = np.random.default_rng(0).random((5, 32, 48)) > 0.5
    write_clip(tmp_path / "m.mkv", masks, 25, codec="ffv1_gray")
    assert np.array_equal(read_masks(tmp_path / "m.mkv"), masks)


def test_h264_keeps_colours(tmp_path):
    frames = np.full((5, 64, 64, 3), (200, 80, 40), np.uint8)
    write_clip(tmp_path / "a.mp4", frames, 25, codec="h264")
    assert np.abs(read_clip(tmp_path / "a.mp4").astype(int) - frames).max() <= 4


def test_not_a_video(tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_text("this is no video")
    with pytest.raises(InputError, match=r"notes\.mp4: is not a readable video"):
        probe(path)
    with pytest.raises(InputError, match="there is no such file"):
        probe(tmp_path / "absent.mp4")


def test_truncated_video(tmp_path, moving_frames):
    whole = tmp_path / "whole.mkv"
    write_clip(whole, np.tile(moving_frames, (8, 1, 1, 1)), 25)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert not is_truncated(whole)
    assert is_truncated(cut)
    with pytest.raises(InputError, match=r"cut\.mkv"):
        list(iterate_frames(cut, 0, 72))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_clip_from_the_middle_is_found_by_seeking(suffix, tmp_path, monkeypatch):
    frames = np.random.default_rng(0).integers(0, 40, (90, 48, 64, 3), np.uint8)
    frames += np.arange(90, dtype=np.uint8)[:, None, None, None] * 2
    path = tmp_path / f"long{suffix}"
    write_clip(path, frames, 25, codec="ffv1" if suffix == ".mkv" else "h264")
    every = read_clip(path)
    decoded = []
    original = video._indexed

    def counting(*arguments):
        for index, frame in original(*arguments):
            decoded.append(index)
            yield index, frame

    monkeypatch.setattr(video, "_SEEK_FROM", 1)
    monkeypatch.setattr(video, "_indexed", counting)
    np.testing.assert_array_equal(read_clip(path, 70, 75), every[70:75])
    assert decoded[-1] <= 75
    if suffix == ".mkv":
        assert decoded[0] == 70, "FFV1 has key frames alone"
    np.testing.assert_array_equal(read_clip(path, 89), every[89:])
    with pytest.raises(InputError, match="ends after 90 frames, but frames 88 to 95 were asked for"):
        read_clip(path, 88, 95)
    with pytest.raises(InputError, match="ends after 90 frames"):
        read_clip(path, 100, 101)


def test_frames_outside_of_the_edit_list_do_not_count(shared):
    """The last frame of this clip is stored, but not shown."""
    path = shared / "faces" / "train" / "animateanyone_3.mp4"
    assert probe(path).num_frames == sum(1 for _ in iterate_frames(path)) == 141
    assert not is_truncated(path)


def test_too_few_frames(tmp_path, moving_frames):
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    with pytest.raises(InputError, match="ends after 9 frames, but frames 0 to 17 were asked for"):
        read_clip(tmp_path / "a.mkv", 0, 17)


def test_a_failed_writer_leaves_nothing(tmp_path, moving_frames):
    with (
        pytest.raises(RuntimeError),
        VideoWriter(tmp_path / "a.mp4", width=64, height=64, fps=25, codec="h264") as writer,
    ):
        writer.write(moving_frames[0])
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with (
        pytest.raises(ValueError, match="expected uint8"),
        VideoWriter(tmp_path / "b.mkv", width=64, height=64, fps=25) as writer,
    ):
        writer.write(moving_frames[0, :32])
    assert not list(tmp_path.iterdir())


def test_threads_may_probe_and_decode_at_once(tmp_path):
    """PyAV's log callback and a decoder that is closed wait for each other; nothing here may turn it on."""
    frames = np.random.default_rng(0).integers(0, 255, (90, 64, 64, 3), np.uint8)
    path = tmp_path / "a.mp4"
    write_clip(path, frames, 25, codec="h264")

    def work(index):
        assert not is_truncated(path)
        require_whole(path)
        return len(read_clip(path, index % 60, index % 60 + 5))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(60))) == [5] * 60
    assert av.logging.get_level() is None


def test_pictures_keep_their_brightness_through_yuv(tmp_path):
    """swscale's fast conversion to RGB is about a level too dark, and repeats the chroma of two pixels."""
    base = np.random.default_rng(0).integers(20, 236, (12, 16, 3), np.uint8)
    frames = np.stack([cv2.resize(base, (256, 192), interpolation=cv2.INTER_CUBIC)] * 3)
    write_clip(
        tmp_path / "clip.mp4",
        frames,
        25,
        codec="h264",
        options={"vcodec": "libx264", "pix_fmt": "yuv420p", "crf": 1},
    )
    error = read_clip(tmp_path / "clip.mp4").astype(float) - frames
    assert np.abs(error.mean((0, 1, 2))).max() < 0.15
    assert np.sqrt(np.square(error).mean()) < 3


@pytest.mark.parametrize("suffix", [".dv", ".avi", ".mov"])
def test_the_rate_of_digital_video_is_that_of_its_frames(suffix, tmp_path):
    """A raw stream of DV gives the unit of its clock for its average rate."""
    path = tmp_path / f"tape{suffix}"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=720x576:r=25:d=0.2", "-pix_fmt", "yuv420p", "-c:v", "dvvideo"]
    subprocess.run([ffmpeg_executable(), "-v", "error", *picture, str(path)], check=True)
    info = probe(path)
    assert (info.fps, info.num_frames) == (25, 5)
    assert info.duration == pytest.approx(0.2)
