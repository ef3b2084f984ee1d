"""Clocks that begin late, jump, or count milliseconds."""

import av
import numpy as np
import pytest

from vividface.restoration.opening import open_source

from .helpers import decode, ffmpeg, keep, run, times

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


def onsets(path):
    """Times, s, at which the picture becomes white, and at which the sound begins."""
    bright = [(frame.time, frame.to_ndarray(format="gray").mean() > 215) for _, _, frame in decode(path)]
    loud = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().astype(float)
            level = np.abs(samples / (1 if frame.format.name.startswith("fl") else 32768)).max(axis=0)
            loud += [(frame.time + k / frame.sample_rate, x > 0.01) for k, x in enumerate(level)]
    return rising(bright, pause=0.3), rising(loud, pause=0.3)


def rising(states, pause):
    """Times at which something is on that was off for a pause."""
    found, last = [], -pause
    for time, is_on in states:
        if is_on:
            found += [time] if time - last >= pause else []
            last = time
    return found


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


# The picture becomes white, and a tone begins, at 0.4 s.
FLASH = ("-vf", "drawbox=color=white:t=fill:enable='between(t,0.39,0.59)'")
BEEP = ("-f", "lavfi", "-i", "aevalsrc='if(between(t,0.4,0.6),0.5*sin(6283*t),0)':s=48000:d=2")
LONG = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2")
MPEG2 = ("-c:v", "mpeg2video", "-c:a", "mp2")


@pytest.mark.parametrize("late", [0, 0.3], ids=["", "sound_first"])
@pytest.mark.parametrize(
    ("suffix", "codecs", "clocks"),
    [
        (".ts", CODECS, (50, 50)),
        (".ts", CODECS, (100, 9000, 9000, 40)),
        (".mpg", MPEG2, (0, 0)),
        (".mpg", MPEG2, (0, 5000, 20)),
        (".mkv", CODECS, (0, 0)),
    ],
    ids=["ts_again", "ts_jumps", "ps_again", "ps_jumps", "mkv"],
)
def test_joined_recordings_play_one_after_the_other_in_step(suffix, codecs, clocks, late, tmp_path):
    """Also those whose clock begins anew within 10 s, and those of a container that knows no jumps."""
    content = b""
    for clock in clocks:
        piece = tmp_path / f"piece{suffix}"
        tone = ("-itsoffset", -late, *BEEP)
        ffmpeg(*LONG, *tone, *FLASH, *codecs, "-output_ts_offset", clock, piece)
        content += piece.read_bytes()
    source = tmp_path / f"joined{suffix}"
    source.write_bytes(content)
    result = run(source, tmp_path / "new.mkv", keep)
    assert result.num_frames == 50 * len(clocks)
    assert np.diff(times(tmp_path / "new.mkv")) == pytest.approx(0.04, abs=0.002)
    flashes, beeps = onsets(tmp_path / "new.mkv")
    assert np.diff(flashes) == pytest.approx(2, abs=0.01)
    assert beeps == pytest.approx([time - late for time in flashes], abs=0.05)


@pytest.mark.parametrize("suffix", [".ts", ".vob"])
def test_a_clock_that_overflows_goes_on(suffix, tmp_path):
    """The clock of MPEG has 33 bits, which last for 26.5 hours."""
    source = tmp_path / f"in{suffix}"
    ffmpeg(*LONG, *BEEP, *FLASH, *MPEG2, "-output_ts_offset", 2**33 / 90000 - 0.5, source)
    for name in ("new.mp4", "new.mkv"):
        result = run(source, tmp_path / name, keep)
        assert result.num_frames == len(times(tmp_path / name)) == 50
        flashes, beeps = onsets(tmp_path / name)
        assert beeps == pytest.approx(flashes, abs=0.03)
        assert flashes == pytest.approx([0.4], abs=0.05)


def test_a_stamp_that_is_wrong_moves_only_its_frame(tmp_path):
    """One packet of a transport stream whose time is 5 s early."""
    whole, source = tmp_path / "whole.ts", tmp_path / "in.ts"
    ffmpeg(*PICTURES, "-c:v", "mpeg2video", "-bf", "0", "-g", "1", whole)
    with av.open(str(whole)) as container, av.open(str(source), "w") as damaged:
        stream = damaged.add_stream_from_template(container.streams.video[0])
        for index, packet in enumerate(packet for packet in container.demux(video=0) if packet.size):
            packet.pts = packet.dts = 900_000 + 3600 * index
            packet.stream = stream
            damaged.mux(packet)
    content = bytearray(source.read_bytes())
    early = pes_stamp(900_000 + 3600 * 12 - 450_000)
    found = content.find(pes_stamp(900_000 + 3600 * 12))
    assert found > 0
    content[found : found + 5] = early
    source.write_bytes(content)
    run(source, tmp_path / "new.mkv", keep)
    shown = times(tmp_path / "new.mkv")
    assert len(shown) == 25
    assert shown[-1] - shown[0] == pytest.approx(24 * 0.04, abs=0.05)


def pes_stamp(ticks):
    """A time of presentation as a packet of MPEG's streams holds it, without one of decoding."""
    words = (ticks >> 30 & 7, ticks >> 15 & 0x7FFF, ticks & 0x7FFF)
    first = bytes([0x20 | words[0] << 1 | 1])
    return first + b"".join((word << 1 | 1).to_bytes(2, "big") for word in words[1:])


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
