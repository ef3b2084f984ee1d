"""Clocks that begin late, jump, or count milliseconds."""

import av
import numpy as np
import pytest

from vividface.restoration.opening import open_source

from .helpers import ffmpeg, keep, run, times

PICTURES = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1")
TONE = ("-f", "lavfi", "-i", "sine=d=1:r=32000")
CODECS = ("-c:v", "libx264", "-bf", "2", "-preset", "ultrafast", "-c:a", "aac")


def starts(path):
    """The first time of presentation of the film and of the sound, s."""
    with av.open(str(path)) as container:
        found = {}
        for packet in container.demux():
            if packet.pts is not None:
                time = float(packet.pts * packet.time_base)
                found[packet.stream.type] = min(found.get(packet.stream.type, time), time)
    return found["video"], found["audio"]


@pytest.mark.parametrize("hours", [0.001, 10])
def test_a_clock_that_starts_late_starts_at_0_and_in_step(hours, tmp_path):
    source = tmp_path / "late.ts"
    ffmpeg(*PICTURES, "-itsoffset", "0.2", *TONE, *CODECS, "-output_ts_offset", hours * 3600, source)
    run(source, tmp_path / "new.mp4", keep)
    before, after = starts(source), starts(tmp_path / "new.mp4")
    assert min(before) > hours * 3600
    assert min(after) == pytest.approx(0, abs=1e-3)
    assert after[1] - after[0] == pytest.approx(before[1] - before[0], abs=1e-3)
    assert np.diff(times(tmp_path / "new.mp4")) == pytest.approx(0.04, abs=1e-4)


def test_a_clock_that_starts_anew_goes_on(tmp_path):
    """Two recordings, joined as files are by `cat`: the second one's clock is days ahead, or behind."""
    pieces = []
    for index, offset in enumerate((100, 90_000, 40)):
        ffmpeg(*PICTURES, *TONE, *CODECS, "-output_ts_offset", offset, tmp_path / f"{index}.ts")
        pieces.append((tmp_path / f"{index}.ts").read_bytes())
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(pieces))
    result = run(source, tmp_path / "new.mp4", keep)
    assert result.num_frames == 75
    assert result.problem == "", "joined is not truncated"
    shown = times(tmp_path / "new.mp4")
    assert shown[-1] == pytest.approx(74 * 0.04, abs=0.1)
    assert max(np.diff(shown)) < 0.1
    assert min(np.diff(shown)) > 0.02
    with av.open(str(tmp_path / "new.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(3, abs=0.15)


def test_a_still_of_a_minute_is_no_jump_in_a_container_that_has_none(tmp_path):
    ffmpeg(
        *PICTURES,
        "-vf",
        "setpts='if(lt(N,5),N,N+1500)/25/TB'",
        "-fps_mode",
        "vfr",
        *CODECS[:2],
        tmp_path / "vfr.mkv",
    )
    run(tmp_path / "vfr.mkv", tmp_path / "new.mp4", keep)
    assert times(tmp_path / "new.mp4") == pytest.approx(times(tmp_path / "vfr.mkv"), abs=1e-3)
    assert times(tmp_path / "new.mp4")[5] == pytest.approx(60.2, abs=1e-3)


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "60"])
def test_a_constant_rate_in_milliseconds_is_even_again(rate, tmp_path):
    source = tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r={rate}:d=2", *CODECS[:2], source)
    assert np.ptp(np.diff(times(source))) == pytest.approx(0.001, abs=1e-6), "Matroska rounds"
    run(source, tmp_path / "new.mp4", keep)
    top, bottom = (int(part) for part in f"{rate}/1".split("/")[:2])
    expected = np.arange(len(times(source))) * bottom / top
    assert times(tmp_path / "new.mp4") == pytest.approx(expected.tolist(), abs=1e-6)
    with av.open(str(tmp_path / "new.mp4")) as container:
        assert container.streams.video[0].average_rate == open_source(source).fps


def test_sound_whose_stamps_go_back_is_cut_where_it_overlaps(tmp_path):
    """The second piece begins before the first one's sound has ended."""
    ffmpeg(*PICTURES, *TONE, *CODECS, "-output_ts_offset", 10, tmp_path / "a.ts")
    ffmpeg(*PICTURES, *TONE, *CODECS, "-output_ts_offset", 10.8, tmp_path / "b.ts")
    source = tmp_path / "overlap.ts"
    source.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    run(source, tmp_path / "new.mp4", keep)
    with av.open(str(tmp_path / "new.mp4")) as container:
        stamps = [packet.dts for packet in container.demux(audio=0) if packet.size]
    assert min(np.diff(stamps)) > 0
