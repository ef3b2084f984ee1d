"""Videos that are tagged to be shown turned or mirrored, as phones write them, read as they are shown."""

import subprocess

import av
import numpy as np
import pytest

from vividface import video
from vividface.video import VideoWriter, ffmpeg_executable, iterate_frames, probe, read_clip, write_clip

# Degrees against the clock and mirroring from left to right, with what they do to frames (F, H, W, 3).
SHOWN = {
    (0, False): lambda frames: frames,
    (90, False): lambda frames: np.rot90(frames, 1, (1, 2)),
    (180, False): lambda frames: np.rot90(frames, 2, (1, 2)),
    (270, False): lambda frames: np.rot90(frames, 3, (1, 2)),
    (0, True): lambda frames: frames[:, :, ::-1],
    (90, True): lambda frames: np.rot90(frames, 1, (1, 2))[:, :, ::-1],
    (180, True): lambda frames: frames[:, ::-1],
    (270, True): lambda frames: np.rot90(frames, 3, (1, 2))[:, :, ::-1],
}


# Lossless, and what QuickTime files hold.
PNG = {"vcodec": "png", "pix_fmt": "rgb24"}


def shown_by_ffmpeg(path, shape):
    """All frames as ffmpeg, which turns and mirrors them, shows them."""
    command = [ffmpeg_executable(), "-v", "error", "-i", str(path)]
    raw = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    )
    return np.frombuffer(raw.stdout, np.uint8).reshape(shape)


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (6, 32, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def stored(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "stored.mov"
    write_clip(path, frames, 25, options=PNG)
    return path


@pytest.mark.parametrize(("degrees", "mirrored"), SHOWN)
def test_frames_are_read_as_they_are_shown(degrees, mirrored, frames, stored, tag_turn, tmp_path):
    path = tag_turn(stored, tmp_path / "phone.mov", degrees, mirrored=mirrored)
    expected = SHOWN[degrees, mirrored](frames)
    read = read_clip(path)
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(read, shown_by_ffmpeg(path, expected.shape))
    assert next(iterate_frames(path)).flags.c_contiguous
    info = probe(path)
    assert (info.height, info.width) == expected.shape[1:3]
    assert info.num_frames == len(frames)


@pytest.mark.parametrize("degrees", [90, 270])
def test_frames_that_are_found_by_seeking_are_turned_too(degrees, tag_turn, tmp_path, monkeypatch):
    pictures = np.random.default_rng(1).integers(0, 40, (90, 32, 48, 3), np.uint8)
    pictures += np.arange(90, dtype=np.uint8)[:, None, None, None] * 2
    write_clip(tmp_path / "stored.mp4", pictures, 25, codec="h264")
    path = tag_turn(tmp_path / "stored.mp4", tmp_path / "phone.mp4", degrees)
    expected = SHOWN[degrees, False](read_clip(tmp_path / "stored.mp4"))
    monkeypatch.setattr(video, "_SEEK_FROM", 1)
    np.testing.assert_array_equal(read_clip(path, 70, 75), expected[70:75])
    resized = read_clip(path, 70, 71, size=(16, 24))
    assert resized.shape == (1, 24, 16, 3)


def test_a_crop_of_a_turned_video_is_upright_and_keeps_no_tag(frames, stored, tag_turn, tmp_path):
    """What a rule writes of a turned video is not turned once more by whoever reads it."""
    phone = tag_turn(stored, tmp_path / "phone.mov", 90)
    info = probe(phone)
    with VideoWriter(tmp_path / "copy.mkv", width=info.width, height=info.height, fps=info.fps) as writer:
        for frame in iterate_frames(phone):
            writer.write(frame)
    np.testing.assert_array_equal(read_clip(tmp_path / "copy.mkv"), np.rot90(frames, 1, (1, 2)))


def test_the_size_is_that_of_the_first_frame_that_can_be_decoded(tag_turn, tmp_path):
    """Damage at the start neither hides the tag nor stops `probe`, which counts packets."""
    pictures = np.random.default_rng(2).integers(0, 256, (8, 32, 48, 3), np.uint8)
    write_clip(tmp_path / "stored.mov", pictures, 25, options=PNG)
    path = tag_turn(tmp_path / "stored.mov", tmp_path / "phone.mov", 90)
    with av.open(str(path)) as container:
        first = next(packet for packet in container.demux(video=0))
        start, size = first.pos, first.size
    content = bytearray(path.read_bytes())
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    info = probe(path)
    assert (info.width, info.height, info.num_frames) == (32, 48, 8)
