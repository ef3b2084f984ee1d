"""What is kept of a video of any kind, and a disk that is full."""

import contextlib
import resource
import subprocess
import wave

import av
import numpy as np
import pytest

from vividface.errors import InputError
from vividface.restoration import results
from vividface.video import ffmpeg_executable, probe, read_clip, write_clip

from .helpers import TIMES, decode, encode, run


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_uneven_time_stamps_and_duration_are_kept(suffix, video, tmp_path):
    output = tmp_path / f"new{suffix}"
    result = run(video, output)
    assert result.num_frames == 20
    assert result.problem == ""
    assert result.num_faces is None, "no faces are looked for in the mode crop"
    before, after = decode(video), decode(output)
    assert [time for time, _, _ in before] == [stamp / 600 for stamp in TIMES]
    # Matroska has milliseconds, and no time before zero, where the sound's first packet lies.
    tolerance, first = (0.0011, after[0][0]) if suffix == ".mkv" else (1e-6, 0)
    assert [time - first for time, _, _ in after] == pytest.approx(
        [stamp / 600 for stamp in TIMES], abs=tolerance
    )
    assert first == pytest.approx(0.064 if suffix == ".mkv" else 0, abs=1e-3)
    with av.open(str(video)) as one, av.open(str(output)) as other:
        assert other.duration / 1e6 - first == pytest.approx(one.duration / 1e6, abs=0.03)


def test_the_pictures_are_the_restored_ones(video, tmp_path):
    run(video, tmp_path / "new.mp4")
    for (_, before, _), (_, after, _) in zip(decode(video), decode(tmp_path / "new.mp4"), strict=True):
        assert np.abs(after.astype(int) - before - 21).mean() < 2.5


def test_the_sound_is_copied_bit_for_bit(video, tmp_path):
    run(video, tmp_path / "new.mkv")

    def packets(path):
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    assert packets(tmp_path / "new.mkv") == packets(video)


def test_sound_that_does_not_fit_the_container_becomes_aac(tmp_path):
    tone = tmp_path / "tone.wav"
    with wave.open(str(tone), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(32000))
    silent = encode(tmp_path / "silent.mp4", tone=False)
    both = tmp_path / "both.mkv"
    command = [ffmpeg_executable(), "-v", "error", "-i", str(silent), "-i", str(tone), "-c:v", "copy"]
    subprocess.run([*command, "-c:a", "wavpack", str(both)], check=True)
    result = run(both, tmp_path / "new.mp4")
    assert result.notes == ["the sound (wavpack) cannot be stored in .mp4: it is AAC now"]
    with av.open(str(tmp_path / "new.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        # The sound is longer than the pictures, and stays so.
        assert float(
            container.streams.audio[0].duration * container.streams.audio[0].time_base
        ) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_rotated_video_stays_as_it_is_shown(rotation, tmp_path):
    source = encode(tmp_path / "turned.mp4", rotation=rotation)
    run(source, tmp_path / "new.mp4", lambda frames: frames)
    shown = tmp_path / "shown.mkv"
    command = [
        ffmpeg_executable(),
        "-v",
        "error",
        "-i",
        str(source),
        "-an",
        "-c:v",
        "ffv1",
        "-fps_mode",
        "passthrough",
    ]
    subprocess.run([*command, str(shown)], check=True)
    before, after = read_clip(shown), read_clip(tmp_path / "new.mp4")
    assert after.shape == before.shape == ((20, 66, 50, 3) if abs(rotation) == 90 else (20, 50, 66, 3))
    assert np.abs(after.astype(int) - before).mean() < 3


@pytest.mark.parametrize(
    "colour",
    [
        {"matrix": 1, "range": 1},
        {"matrix": 6, "range": 1, "primaries": 6, "transfer": 6},
        {"matrix": 1, "range": 2},
        {"matrix": 2, "range": 0, "primaries": 2, "transfer": 2},
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_colour_range_and_matrix_are_kept(colour, suffix, tmp_path):
    source = encode(tmp_path / "coloured.mp4", **colour)
    run(source, tmp_path / f"new{suffix}", lambda frames: frames)
    before, after = decode(source), decode(tmp_path / f"new{suffix}")
    for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
        assert getattr(after[0][2], name) == getattr(before[0][2], name), name
    assert np.abs(after[5][1].astype(int) - before[5][1]).mean() < 2


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv444p", "yuv422p10le"])
def test_ten_bits_and_fine_chroma_are_kept(pixel_format, tmp_path):
    source = encode(tmp_path / "deep.mkv", pixel_format=pixel_format, matrix=9, primaries=9, transfer=16)
    run(source, tmp_path / "new.mkv", lambda frames: frames)
    deep = "10" in pixel_format
    name = "rgb48le" if deep else "rgb24"
    before, after = decode(source, name), decode(tmp_path / "new.mkv", name)
    assert after[0][2].format.name == pixel_format
    assert (int(after[0][2].colorspace), int(after[0][2].color_trc)) == (9, 16)
    error = np.abs(after[5][1].astype(int) - before[5][1]).mean() / (257 if deep else 1)
    assert error < 2
    if deep:
        assert len(np.unique(after[5][1][40, :, 0] >> 6)) > 60, "a ramp of 10 bits has no steps of 8"


def test_tags_are_kept(video, tmp_path):
    tagged = tmp_path / "tagged.mp4"
    command = [
        ffmpeg_executable(),
        "-v",
        "error",
        "-i",
        str(video),
        "-c",
        "copy",
        "-metadata",
        "title=A face",
    ]
    subprocess.run([*command, str(tagged)], check=True)
    run(tagged, tmp_path / "new.mp4")
    with av.open(str(tmp_path / "new.mp4")) as container:
        assert container.metadata["title"] == "A face"


def test_odd_sides_lose_a_line(tmp_path):
    write_clip(tmp_path / "odd.mkv", np.zeros((3, 51, 67, 3), np.uint8), 25)
    run(tmp_path / "odd.mkv", tmp_path / "new.mp4")
    assert (probe(tmp_path / "new.mp4").width, probe(tmp_path / "new.mp4").height) == (66, 50)


@contextlib.contextmanager
def limited_file_size(limit):
    """A limit on the size of files, in bytes, stands for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def noise(tmp_path):
    """A video whose result has more than 150 kB."""
    frames = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), dtype=np.uint8)
    write_clip(tmp_path / "noise.mkv", frames, 25)
    return tmp_path / "noise.mkv"


@pytest.mark.parametrize("limit", [1000, 60_000, 150_000])
def test_a_full_disk_leaves_nothing_under_the_final_name(limit, noise, tmp_path):
    output = tmp_path / "out" / "new.mp4"
    with limited_file_size(limit), pytest.raises(InputError, match=r"new\.mp4: cannot be written \("):
        run(noise, output, lambda frames: frames)
    assert not output.exists()


def test_a_disk_that_is_full_when_parts_are_joined_loses_no_part(noise, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_PART_FRAMES", 20)
    output = tmp_path / "out" / "new.mp4"
    with limited_file_size(150_000), pytest.raises(InputError, match="60 frames are done, --resume"):
        run(noise, output, lambda frames: frames)
    assert not output.exists()
    assert run(noise, output, lambda frames: frames, resume=True).num_restored == 0
    assert probe(output).num_frames == 60
