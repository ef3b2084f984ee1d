"""Sound, subtitles, fonts, covers, time code: copied, or told of."""

import av
import cv2
import numpy as np
import pytest

from .helpers import encode, ffmpeg, keep, run, streams, times

PICTURES = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1")
H264 = ("-c:v", "libx264", "-preset", "ultrafast")


def chirp(rate, seconds=2.0):
    """A tone whose pitch rises, so that a delay is found by correlation."""
    time = np.arange(int(rate * seconds)) / rate
    return (np.sin(2 * np.pi * (200 + 600 * time) * time) * 12000).astype("<i2")


def add_sound(path, codec, *options, rate=44100, layout="mono"):
    """A video with that chirp, by the ffmpeg program, in a codec."""
    raw = path.with_suffix(".raw")
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    raw.write_bytes(np.repeat(chirp(rate), channels).tobytes())
    sound = ("-f", "s16le", "-ar", rate, "-ac", channels, "-i", raw)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2", *sound, *H264, "-c:a", codec, *options, path)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("pcm_s16le", ".mkv"),
        ("pcm_s16le", ".mov"),
        ("pcm_s16le_planar", ".nut"),
        ("wavpack", ".mkv"),
    ],
)
def test_eight_channels_become_aac_each_in_its_place(codec, suffix, tmp_path):
    """A tone on the third channel alone; Matroska does not name the channels of PCM."""
    source = tmp_path / f"in{suffix}"
    tones = "|".join(["0"] * 2 + ["0.5*sin(6283*t)"] + ["0"] * 5)
    tone = ("-f", "lavfi", "-i", f"aevalsrc='{tones}':s=48000:d=1:c=7.1")
    ffmpeg(*PICTURES, *tone, *H264, "-c:a", codec, "-strict", "-2", source)
    run(source, tmp_path / "new.mp4", keep)
    with av.open(str(tmp_path / "new.mp4")) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.codec_context.layout.name) == ("aac", "7.1")
        packed = av.AudioResampler(format="flt", layout="7.1", rate=48000)
        parts = [part for frame in container.decode(stream) for part in packed.resample(frame)]
    loudness = np.concatenate([part.to_ndarray().reshape(-1, 8) for part in parts]).std(axis=0)
    assert loudness[2] == pytest.approx(0.5 / np.sqrt(2), abs=0.03)
    assert np.delete(loudness, 2).max() < 0.01


def samples(path):
    """The sound, one channel, from time 0 on, and its rate."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        result = np.zeros(3 * rate)
        resampler, place = av.AudioResampler(format="flt", layout="mono", rate=rate), None
        for frame in container.decode(audio=0):
            # Stamps of milliseconds are only followed where they jump.
            start = round((frame.time or 0.0) * rate) if frame.time is not None or place is None else place
            if place is None or abs(start - place) > 0.03 * rate:
                place = start
            for part in resampler.resample(frame):
                block = part.to_ndarray()[0]
                cut = max(-place, 0)
                result[place + cut : place + len(block)] = block[cut:]
                place += len(block)
    return result, rate


def delay(path, source):
    """By how many seconds the sound of a result comes late."""
    (before, rate), (after, same_rate) = samples(source), samples(path)
    assert rate == same_rate
    spectrum = np.fft.rfft(after, 2 * len(after)) * np.conj(np.fft.rfft(before, 2 * len(before)))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    return (lag if lag < len(before) else lag - 2 * len(before)) / rate


@pytest.mark.parametrize(
    ("codec", "suffix", "rate", "layout"),
    [
        ("pcm_s16le", ".avi", 44100, "mono"),
        ("pcm_u8", ".avi", 11025, "mono"),
        ("pcm_s16le", ".avi", 8000, "stereo"),
        ("adpcm_ms", ".avi", 22050, "mono"),
        ("wavpack", ".mkv", 44100, "mono"),
        ("wmav2", ".asf", 44100, "stereo"),
        ("pcm_s24le", ".mkv", 48000, "5.1"),
    ],
)
def test_sound_that_a_container_refuses_becomes_aac_in_step(codec, suffix, rate, layout, tmp_path):
    source = tmp_path / f"in{suffix}"
    add_sound(source, codec, rate=rate, layout=layout)
    result = run(source, tmp_path / "new.mp4", keep)
    assert result.notes == [f"the sound ({codec}) cannot be stored in .mp4: it is AAC now"]
    assert streams(tmp_path / "new.mp4")[1][:2] == ("audio", "aac")
    assert delay(tmp_path / "new.mp4", source) == pytest.approx(0, abs=0.001)


def test_a_gap_in_the_sound_stays_a_gap(tmp_path):
    source = tmp_path / "gap.mkv"
    tone = ("-f", "lavfi", "-i", "sine=d=2,aselect='not(between(t,0.5,1.2))'")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2", *tone, *H264, "-c:a", "wavpack", source)
    run(source, tmp_path / "new.mp4", keep)
    (before, _), (after, _) = samples(source), samples(tmp_path / "new.mp4")
    quiet = slice(int(0.6 * 44100), int(1.1 * 44100))
    assert np.abs(before[quiet]).max() == 0
    assert np.abs(after[quiet]).max() < 1e-3
    assert delay(tmp_path / "new.mp4", source) == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize(("codec", "suffix"), [("flac", ".mov"), ("libopus", ".mov"), ("libvorbis", ".mov")])
def test_a_codec_that_the_container_lists_and_refuses_becomes_aac(codec, suffix, tmp_path):
    source = tmp_path / "in.mkv"
    add_sound(source, codec, rate=48000)
    run(source, tmp_path / f"new{suffix}", keep)
    assert streams(tmp_path / f"new{suffix}")[1][1] == "aac"
    assert delay(tmp_path / f"new{suffix}", source) == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize("codec", ["libopus", "flac", "libmp3lame", "libvorbis", "pcm_s16le"])
def test_m4v_holds_what_mp4_holds(codec, tmp_path):
    source = tmp_path / "in.mkv"
    add_sound(source, codec, rate=48000)
    notes = {suffix: run(source, tmp_path / f"new{suffix}", keep).notes for suffix in (".mp4", ".m4v")}
    assert [note.replace(".mp4", ".m4v") for note in notes[".mp4"]] == notes[".m4v"]
    kinds = {suffix: [stream[:2] for stream in streams(tmp_path / f"new{suffix}")] for suffix in notes}
    assert kinds[".m4v"] == kinds[".mp4"]
    assert len(kinds[".m4v"]) == 2


@pytest.mark.parametrize("codec", ["dca", "flac", "ac3", "pcm_s16le", "libvorbis"])
def test_matroska_holds_what_it_held(codec, tmp_path):
    source = tmp_path / "in.mkv"
    add_sound(source, codec, "-strict", "-2", rate=48000)
    result = run(source, tmp_path / "new.mkv", keep)
    assert result.notes == []
    assert streams(tmp_path / "new.mkv")[1][1] == streams(source)[1][1]


def test_languages_titles_flags_fonts_and_covers_are_kept(tmp_path):
    cv2.imwrite(str(tmp_path / "cover.jpg"), np.full((40, 60, 3), 90, np.uint8))
    (tmp_path / "font.ttf").write_bytes(bytes(range(256)))
    (tmp_path / "in.srt").write_text("1\n00:00:00,100 --> 00:00:00,800\nGuten Tag\n")
    source, result = tmp_path / "in.mkv", tmp_path / "new.mkv"
    tones = ("-f", "lavfi", "-i", "sine=d=1", "-f", "lavfi", "-i", "sine=600:d=1")
    maps = ("-map", "0", "-map", "1", "-map", "2", "-map", "3")
    ffmpeg(
        *PICTURES, *tones, "-i", tmp_path / "in.srt", *maps, *H264,
        "-metadata:s:a:0", "language=ger", "-metadata:s:a:0", "title=Deutsch",
        "-metadata:s:a:1", "language=eng", "-metadata:s:a:1", "title=Commentary",
        "-disposition:a:0", "0", "-disposition:a:1", "default+comment",
        "-metadata:s:s:0", "language=ger", "-disposition:s:0", "forced",
        "-attach", tmp_path / "font.ttf", "-metadata:s:t:0", "mimetype=font/ttf",
        "-attach", tmp_path / "cover.jpg", "-metadata:s:t:1", "mimetype=image/jpeg",
        source,
    )  # fmt: skip
    notes = run(source, result, keep).notes
    assert notes == []
    assert sorted(map(str, streams(result)[1:])) == sorted(map(str, streams(source)[1:]))
    with av.open(str(result)) as container:
        assert [bytes(stream.data) for stream in container.streams.attachments] == [bytes(range(256))]
    notes = run(source, tmp_path / "new.mp4", keep).notes
    assert [note.split(" (")[0].split(" cannot")[0] for note in notes] == [
        "the subtitles",
        "the attached file font.ttf",
    ]


def test_a_cover_before_the_film_is_not_the_film(tmp_path):
    encode(tmp_path / "plain.mp4", tone=False)
    cv2.imwrite(str(tmp_path / "cover.png"), np.full((400, 600, 3), 90, np.uint8))
    source = tmp_path / "in.mp4"
    order = ("-map", "1", "-map", "0", "-c", "copy", "-disposition:v:0", "attached_pic")
    ffmpeg("-i", tmp_path / "plain.mp4", "-i", tmp_path / "cover.png", *order, source)
    result = run(source, tmp_path / "new.mp4", keep)
    assert result.num_frames == 20
    assert times(tmp_path / "new.mp4") == pytest.approx(times(tmp_path / "plain.mp4"))
    kinds = [(kind, codec, disposition) for kind, codec, _, _, disposition in streams(tmp_path / "new.mp4")]
    assert ("video", "png", int(av.stream.Disposition.attached_pic)) in kinds


def test_covers_that_quicktime_does_not_hold_are_told_of(tmp_path):
    cv2.imwrite(str(tmp_path / "cover.png"), np.full((40, 60, 3), 90, np.uint8))
    cover = ("-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-c:v:1", "copy")
    ffmpeg(*PICTURES, *cover, "-c:v:0", "libx264", "-disposition:v:1", "attached_pic", tmp_path / "in.mp4")
    result = run(tmp_path / "in.mp4", tmp_path / "new.mov", keep)
    assert result.notes == ["the cover (png) cannot be stored in .mov: left out"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_chapters_are_kept_and_their_track_is_not_told_of(suffix, tmp_path):
    chapters = [f"[CHAPTER]\nTIMEBASE=1/10\nSTART={n * 5}\nEND={n * 5 + 5}\ntitle=No. {n}\n" for n in (0, 1)]
    (tmp_path / "tags.txt").write_text(";FFMETADATA1\n" + "".join(chapters))
    ffmpeg(*PICTURES, "-i", tmp_path / "tags.txt", "-map_chapters", "1", *H264, tmp_path / "in.mp4")
    result = run(tmp_path / "in.mp4", tmp_path / f"new{suffix}", keep)
    assert result.notes == []
    with av.open(str(tmp_path / f"new{suffix}")) as container:
        found = [
            (float(chapter["start"] * chapter["time_base"]), chapter["metadata"]["title"])
            for chapter in container.chapters()
        ]
    assert found == [(0.0, "No. 0"), (0.5, "No. 1")]


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_the_time_code_is_kept(suffix, tmp_path):
    source = tmp_path / "in.mov"
    ffmpeg(*PICTURES, *H264, "-timecode", "10:11:12:13", source)
    run(source, tmp_path / f"new{suffix}", keep)
    with av.open(str(tmp_path / f"new{suffix}")) as container:
        found = [dict(stream.metadata) for stream in container.streams] + [dict(container.metadata)]
    assert any("10:11:12:13" in tags.values() for tags in found)


def test_what_an_edit_list_cuts_away_is_not_heard(tmp_path):
    """Copying from a time keeps what lies before it, from the last key frame on, hidden by an edit list."""
    tone = ("-f", "lavfi", "-i", "sine=d=3:r=44100")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=3", *tone, *H264, "-g", "50", tmp_path / "whole.mp4")
    ffmpeg("-ss", "1.5", "-i", tmp_path / "whole.mp4", "-c", "copy", tmp_path / "in.mp4")
    for suffix in (".mkv", ".mp4"):
        run(tmp_path / "in.mp4", tmp_path / f"new{suffix}", keep)
        with av.open(str(tmp_path / f"new{suffix}")) as container:
            first = min(p.pts * p.time_base for p in container.demux(audio=0) if p.pts is not None)
        shown = times(tmp_path / f"new{suffix}")[0]
        assert shown - first < 0.06, "no more than the codec's warming up"


def test_a_track_that_nobody_can_decode_is_left_out(tmp_path):
    source = tmp_path / "in.mov"
    tones = ("-f", "lavfi", "-i", "sine=d=1", "-f", "lavfi", "-i", "sine=d=1")
    ffmpeg(*PICTURES, *tones, "-map", "0", "-map", "1", "-map", "2", *H264, "-c:a", "aac", source)
    content = source.read_bytes()
    second = content.rindex(b"stsd")
    hidden = content[second:].replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz")
    source.write_bytes(content[:second] + hidden)
    notes = run(source, tmp_path / "new.mov", keep).notes
    assert notes == ["the sound (of an unknown codec) cannot be stored in .mov: left out"]
    assert [kind for kind, *_ in streams(tmp_path / "new.mov")] == ["video", "audio"]


def broadcast(path, *sounds):
    """A transport stream in which one programme follows another, with the sound of each."""
    pieces = []
    for sound in sounds:
        piece = path.with_name(f"piece{path.suffix}")
        ffmpeg(*PICTURES, *sound, "-c:v", "mpeg2video", piece)
        pieces.append(piece.read_bytes())
    path.write_bytes(b"".join(pieces))
    return path


def test_sound_whose_channels_change_is_encoded_to_its_end(tmp_path):
    tone = ("-f", "lavfi", "-i", "sine=500:d=1:r=48000", "-c:a", "pcm_bluray")
    stereo, surround = (*tone, "-ac", "2"), (*tone, "-ac", "6", "-ar", "96000")
    source = broadcast(tmp_path / "in.m2ts", stereo, surround)
    run(source, tmp_path / "new.mp4", keep)
    heard, rate = samples(tmp_path / "new.mp4")
    parts = heard[: 2 * rate].reshape(20, -1).std(axis=1)
    assert min(parts[1:-1]) > 0.5 * max(parts)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_only_the_second_programme_has_is_kept_in_its_place(suffix, tmp_path):
    tone = ("-f", "lavfi", "-i", "sine=500:d=1:r=48000", "-c:a", "aac")
    source = broadcast(tmp_path / "in.ts", (), tone)
    run(source, tmp_path / f"new{suffix}", keep)
    heard, rate = samples(tmp_path / f"new{suffix}")
    parts = heard[: 2 * rate].reshape(20, -1).std(axis=1)
    assert max(parts[:9]) < 0.1 * max(parts)
    assert min(parts[11:19]) > 0.5 * max(parts)
