"""A part of a source: its pictures, sound, subtitles and chapters, from 0 on."""

import subprocess
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from vividface.errors import InputError
from vividface.restoration import results
from vividface.restoration.enhance import enhance
from vividface.restoration.opening import open_source
from vividface.restoration.reading import Excerpt
from vividface.video import VideoWriter, ffmpeg_executable, probe

from .helpers import WINDOWS, decode, picture, restorer_of

RATE, SECONDS = 16000, 6
_METADATA = """;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=2500
title=one
[CHAPTER]
TIMEBASE=1/1000
START=2500
END=6000
title=two
"""
_SUBTITLES = """1
00:00:00,500 --> 00:00:01,000
before

2
00:00:01,500 --> 00:00:02,600
into

3
00:00:03,000 --> 00:00:03,400
within

4
00:00:05,000 --> 00:00:05,500
behind
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """6 s at 25 frames/s, whose greys are each frame's number; noise, subtitles and chapters."""
    folder = tmp_path_factory.mktemp("film")
    with VideoWriter(folder / "mute.mkv", width=64, height=48, fps=25, codec="h264", crf=4) as writer:
        for index in range(25 * SECONDS):
            frame = np.empty((48, 64, 3), np.uint8)
            frame[:, :32], frame[:, 32:] = (16 + 16 * digit for digit in divmod(index, 13))
            writer.write(frame)
    noise(RATE * SECONDS).tofile(folder / "noise.raw")
    (folder / "chapters.txt").write_text(_METADATA)
    (folder / "text.srt").write_text(_SUBTITLES)
    inputs = ["-i", "mute.mkv", "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "noise.raw"]
    inputs += ["-i", "text.srt", "-i", "chapters.txt"]
    command = [ffmpeg_executable(), "-v", "error", *inputs, *("-map", "0", "-map", "1", "-map", "2")]
    command += ["-map_metadata", "3", "-c", "copy", "-c:s", "srt", "film.mkv"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "film.mkv"


def noise(count):
    return np.random.default_rng(0).integers(-8000, 8000, count).astype("<i2")


def enhanced(source, output, *, resume=False, **part):
    opened = open_source(source, excerpt=Excerpt(**part))
    restorer = restorer_of(lambda frames: frames)
    return enhance(opened, output, restorer=restorer, config=WINDOWS, resume=resume), opened


def numbers_and_times(path):
    """The numbers of the film's frames in a result, and their times."""
    frames = decode(path)
    digits = [[round(float(p[8:40, x : x + 16].mean()) / 16) - 1 for x in (8, 40)] for _, p, _ in frames]
    return [13 * high + low for high, low in digits], [time for time, _, _ in frames]


@pytest.mark.parametrize(
    ("part", "first", "count"),
    [
        ({"start": Fraction(2), "end": Fraction(4)}, 50, 50),
        ({"start": Fraction(2), "num_frames": 7}, 50, 7),
        ({"end": Fraction("0.5")}, 0, 13),
        ({"start": Fraction("5.69")}, 142, 8),
    ],
)
def test_the_pictures_and_the_sound_of_a_part(part, first, count, film, tmp_path):
    result, source = enhanced(film, tmp_path / "part.mkv", **part)
    assert result.num_frames == count
    assert abs(source.num_frames - count) <= 1, "the progress bar's length"
    numbers, times = numbers_and_times(tmp_path / "part.mkv")
    assert numbers == list(range(first, first + count))
    assert times == pytest.approx(np.arange(count) / 25, abs=0.002)
    at, samples = sound(tmp_path / "part.mkv")
    assert 0 <= at < 0.1
    begin = round((first / 25 + at) * RATE)
    expected = noise(RATE * SECONDS)[begin : begin + len(samples)]
    match = max(
        range(-40, 41), key=lambda shift: float(np.dot(np.roll(expected, shift), samples.astype(float)))
    )
    assert abs(match) / RATE <= 0.002, "sound and picture stay together"
    assert len(samples) / RATE == pytest.approx(count / 25, abs=0.13)


def sound(path):
    """Time of the first sample, and all samples."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    return float(frames[0].time), np.concatenate([frame.to_ndarray().ravel() for frame in frames])


def test_subtitles_and_chapters_are_cut_with_it(film, tmp_path):
    enhanced(film, tmp_path / "part.mkv", start=Fraction(2), end=Fraction(4))
    with av.open(str(tmp_path / "part.mkv")) as container:
        chapters = [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
            for c in container.chapters()
        ]
        texts = [
            (float(packet.pts * packet.time_base), float(packet.duration * packet.time_base), bytes(packet))
            for packet in container.demux(subtitles=0)
            if packet.size
        ]
    assert chapters == [(0, 0.5, "one"), (0.5, 2, "two")]
    assert texts == [(0, pytest.approx(0.6), b"into"), (1, pytest.approx(0.4), b"within")]


def test_a_part_of_a_folder_of_frames(tmp_path):
    (tmp_path / "frames").mkdir()
    for index in range(20):
        name = str(tmp_path / "frames" / f"{index:03d}.png")
        cv2.imwrite(name, picture(index)[..., ::-1].astype(np.uint8))
    enhanced(tmp_path / "frames", tmp_path / "new", start=Fraction("0.2"), num_frames=4)
    assert [path.name for path in sorted((tmp_path / "new").iterdir())] == [
        f"{n:03d}.png" for n in range(5, 9)
    ]
    enhanced(tmp_path / "frames", tmp_path / "new.mp4", start=Fraction("0.2"), end=Fraction("0.4"))
    assert probe(tmp_path / "new.mp4").num_frames == 5
    assert decode(tmp_path / "new.mp4")[0][0] == 0


def test_a_part_that_holds_nothing_says_so(film, tmp_path):
    with pytest.raises(InputError, match=r"film\.mkv: no frame of it lies between --start and --end; check"):
        enhanced(film, tmp_path / "part.mkv", start=Fraction(60))
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"--end 2: is not after --start 3 \(s\)"):
        Excerpt(start=Fraction(3), end=Fraction(2))
    with pytest.raises(InputError, match="--frames 0: is not positive"):
        Excerpt(num_frames=0)


def test_another_part_is_not_resumed(film, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_PART_FRAMES", 24)
    calls, output, start = [], tmp_path / "part.mkv", Fraction("0.2")

    def stop(frames):
        calls.append(1)
        if len(calls) > 6:
            raise RuntimeError("the model broke")
        return frames

    part = open_source(film, excerpt=Excerpt(start=start))
    with pytest.raises(RuntimeError, match="the model broke"):
        enhance(part, output, restorer=restorer_of(stop), config=WINDOWS)
    with pytest.raises(InputError, match="was begun with another source"):
        enhanced(film, output, start=start + 1, resume=True)
    with pytest.raises(InputError, match="was begun with another strength"):
        half = WINDOWS.model_copy(update={"strength": 0.5})
        enhance(part, output, restorer=restorer_of(stop), config=half, resume=True)
    resumed, _ = enhanced(film, output, start=start, resume=True)
    assert resumed.num_restored < resumed.num_frames == 145
    assert numbers_and_times(output)[0] == list(range(5, 150))
