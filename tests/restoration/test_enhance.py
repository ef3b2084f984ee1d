"""`vividface enhance` on videos, frames and images of every kind, and on what goes wrong."""

import json
import signal
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from vividface.cli import main
from vividface.config import RestorationConfig
from vividface.errors import InputError
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.presets import NANO, save_checkpoint
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.enhance import Interrupted, Model, enhance, side_by_side
from vividface.restoration.reading import open_source
from vividface.video import ffmpeg_executable, probe, read_clip, write_clip

WINDOWS = RestorationConfig(window=9, overlap=2, cut_threshold=None)
SIZE = (66, 50)
# Uneven on purpose; in units of 1/600 s.
TIMES = [0, 20, 40, 45, 60, 100, 110, 120, 145, 160, 200, 210, 225, 230, 260, 280, 285, 300, 320, 340]


def picture(index, size=SIZE):
    """A soft gradient with a bar that moves: what H.264 at 4:2:0 keeps within a few levels."""
    width, height = size
    ramp = np.linspace(40, 160, width, dtype=np.float32)[None, :, None].repeat(height, 0)
    frame = np.concatenate([ramp, ramp[:, ::-1], np.full_like(ramp, 90)], axis=2)
    left = 2 * index % (width - 16)
    frame[10:30, left : left + 16] = (190, 130, 70)
    return frame


def encode(path, count=20, size=SIZE, times=TIMES, tone=True, rotation=0, pixel_format="yuv420p", **colour):
    """A video by PyAV, with the time stamps, sound, rotation and colours asked for."""
    deep = "10" in pixel_format
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.time_base = stream.codec_context.time_base = Fraction(1, 600)
        context = stream.codec_context
        context.colorspace, context.color_range = colour.get("matrix", 1), colour.get("range", 1)
        context.color_primaries, context.color_trc = colour.get("primaries", 1), colour.get("transfer", 1)
        if rotation:
            stream.set_display_rotation(rotation)
        if tone:
            sound = container.add_stream("aac", rate=16000)
        for index in range(count):
            pixels = picture(index, size)
            pixels = (pixels * 257).astype(np.uint16) if deep else pixels.astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le" if deep else "rgb24")
            frame = frame.reformat(
                format=pixel_format, dst_colorspace=context.colorspace, dst_color_range=context.color_range
            )
            frame.pts, frame.time_base = (
                times[index % len(times)] + 360 * (index // len(times)),
                Fraction(1, 600),
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone:
            samples = (np.sin(np.arange(9600) / 16000 * 2764) * 8000).astype("<i2")[None]
            block = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            block.sample_rate, block.pts = 16000, 0
            container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return path


def decode(path, name="rgb24"):
    """Seconds, pixels and the frame itself, of every frame."""
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format=name), frame) for frame in container.decode(video=0)]


def brighten(frames):
    peak = np.iinfo(frames.dtype).max
    return np.clip(frames.astype(np.int64) + peak // 12, 0, peak).astype(frames.dtype)


def model(restore=brighten, name="brighten"):
    return Model(restore, 64, None, {"weights": name})


def run(source, output, restore=brighten, config=WINDOWS, **options):
    return enhance(open_source(Path(source)), Path(output), model(restore), config, progress=False, **options)


def digest(path):
    """The decoded pictures of a video, bit for bit."""
    return [(time, pixels.tobytes()) for time, pixels, _ in decode(path)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained nano model: it returns its input."""
    folder = tmp_path_factory.mktemp("checkpoint") / "nano"
    transformer = OneStepTransformer(**(NANO | {"num_layers": 1, "ffn_dim": 64}))
    transformer.start_as_identity()
    save_checkpoint(folder, transformer, DCTAutoencoder())
    return folder


@pytest.fixture
def video(tmp_path):
    return encode(tmp_path / "input.mp4")


# What is kept


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_uneven_time_stamps_and_duration_are_kept(suffix, video, tmp_path):
    output = tmp_path / f"new{suffix}"
    done = run(video, output)
    assert (done.frames, done.problem, done.faces) == (20, "", None)
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
    done = run(both, tmp_path / "new.mp4")
    assert done.notes == ["the sound (wavpack) cannot be stored in mp4: it is AAC now"]
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


def test_scale_enlarges_before_it_restores(video, tmp_path):
    shapes = set()

    def restore(frames):
        shapes.add(frames.shape[1:])
        return frames

    run(video, tmp_path / "new.mp4", restore, WINDOWS.model_copy(update={"scale": 2}))
    assert shapes == {(100, 132, 3)}
    assert probe(tmp_path / "new.mp4").width == 132


# Windows


def test_windows_are_bounded_and_reset_at_cuts(tmp_path):
    frames = np.stack([np.full((48, 64, 3), 30 if index < 13 else 220, np.uint8) for index in range(30)])
    write_clip(tmp_path / "cut.mkv", frames, 25)
    windows = []

    def restore(frames):
        windows.append((len(frames), int(frames.min()) // 100, int(frames.max()) // 100))
        return frames

    run(tmp_path / "cut.mkv", tmp_path / "new.mp4", restore, RestorationConfig(window=9, overlap=2))
    assert max(length for length, _, _ in windows) == 9
    assert all(low == high for _, low, high in windows), "no window reaches over the cut"


def test_the_same_twice_is_the_same_file(video, tmp_path):
    for name in ("one.mp4", "two.mp4", "one.mkv", "two.mkv"):
        run(video, tmp_path / name)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
    assert (tmp_path / "one.mkv").read_bytes() == (tmp_path / "two.mkv").read_bytes()


def test_colours_are_corrected_when_asked(video, tmp_path):
    run(video, tmp_path / "new.mp4", config=WINDOWS.model_copy(update={"colour": "wavelet"}))
    before, after = read_clip(video).astype(int), read_clip(tmp_path / "new.mp4").astype(int)
    assert abs((after - before).mean()) < 2, "the brightening is taken back"


# Interrupted and killed

_KILLED = """
import os, signal, sys
sys.path.insert(0, {folder!r})
import test_enhance as tests
calls = []
def restore(frames):
    calls.append(1)
    if len(calls) == {calls}:
        os.kill(os.getpid(), signal.{signal})
    return tests.brighten(frames)
tests.run({source!r}, {output!r}, restore, compare=tests.Path({compare!r}))
"""


@pytest.fixture
def long_video(tmp_path):
    return encode(tmp_path / "long.mp4", count=620)


def test_a_killed_run_goes_on_with_the_same_frames(long_video, tmp_path):
    whole, output, compare = tmp_path / "whole.mp4", tmp_path / "new.mp4", tmp_path / "both.mp4"
    run(long_video, whole, compare=tmp_path / "whole_both.mp4")
    code = _KILLED.format(
        folder=str(Path(__file__).parent),
        calls=80,
        signal="SIGKILL",
        source=str(long_video),
        output=str(output),
        compare=str(compare),
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not output.exists()
    with pytest.raises(InputError, match=r"new\.mp4\.partial: an interrupted run left it; add --resume"):
        run(long_video, output, compare=compare)
    calls = []

    def restore(frames):
        calls.append(1)
        return brighten(frames)

    done = run(long_video, output, restore, resume=True, compare=compare)
    assert done.frames == 620
    assert 0 < done.restored < 300, "what was done is not done again"
    assert len(calls) < 45
    assert output.read_bytes() == whole.read_bytes()
    assert compare.read_bytes() == (tmp_path / "whole_both.mp4").read_bytes()
    assert not (tmp_path / "new.mp4.partial").exists()


def test_resuming_with_other_settings_is_refused(long_video, tmp_path):
    output = tmp_path / "new.mp4"

    def stop(frames):
        raise RuntimeError("the model broke")

    calls = []

    def late(frames):
        calls.append(1)
        if len(calls) > 60:
            raise RuntimeError("the model broke")
        return frames

    with pytest.raises(RuntimeError, match="the model broke"):
        run(long_video, output, late)
    with pytest.raises(InputError, match=r"was begun with another colour, scale"):
        run(long_video, output, late, WINDOWS.model_copy(update={"scale": 2, "colour": "adain"}), resume=True)
    (tmp_path / "new.mp4.partial" / "run.json").write_text("{")
    with pytest.raises(InputError, match="is not what an interrupted run leaves"):
        run(long_video, output, late, resume=True)
    run(long_video, output, brighten, overwrite=True)
    assert probe(output).frames == 620
    with pytest.raises(RuntimeError, match="the model broke"):
        run(long_video, tmp_path / "other.mp4", stop)
    assert not (tmp_path / "other.mp4.partial").exists(), "nothing was done, so nothing is left"


def test_ctrl_c_leaves_a_playable_part(long_video, tmp_path):
    output, whole = tmp_path / "new.mp4", tmp_path / "whole.mp4"
    calls = []

    def restore(frames):
        calls.append(1)
        if len(calls) == 50:
            raise KeyboardInterrupt
        return brighten(frames)

    with pytest.raises(
        Interrupted, match=r"the first 343 frames are in .*new\.part\.mp4; the same command with"
    ):
        run(long_video, output, restore)
    assert not output.exists()
    part = probe(tmp_path / "new.part.mp4")
    assert (part.frames, part.has_audio) == (343, True)
    assert len(decode(tmp_path / "new.part.mp4")) == 343
    run(long_video, output, resume=True)
    run(long_video, whole)
    assert output.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "new.part.mp4").exists()


def test_ctrl_c_on_the_command_line(long_video, checkpoint, tmp_path, monkeypatch, capsys):
    from vividface.restoration import pipeline

    monkeypatch.setattr(
        pipeline.OneStepFacePipeline, "restore", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    arguments = ["enhance", str(long_video), "-o", str(tmp_path / "new.mp4"), "--weights", str(checkpoint)]
    assert main([*arguments, "--mode", "crop", "--device", "cpu"]) == 130
    assert capsys.readouterr().err.strip().endswith("the same command with --resume goes on")


# Frames and images


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(11):
        cv2.imwrite(str(folder / f"{index:03d}.png"), picture(index)[..., ::-1].astype(np.uint8))
    return folder


def test_a_folder_of_frames_becomes_a_folder_or_a_video(frames, tmp_path):
    done = run(frames, tmp_path / "new")
    assert done.frames == 11
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == [f"{index:03d}.png" for index in range(11)]
    restored = cv2.imread(str(tmp_path / "new" / "004.png"))[..., ::-1].astype(int)
    assert np.abs(restored - picture(4).astype(np.uint8) - 21).max() <= 1
    source = open_source(frames, Fraction(12))
    enhance(source, tmp_path / "new.mp4", model(), WINDOWS, progress=False)
    assert (probe(tmp_path / "new.mp4").frames, probe(tmp_path / "new.mp4").fps) == (11, 12)


def test_a_pattern_chooses_frames(frames, tmp_path):
    assert run(frames / "00[0-4].png", tmp_path / "new").frames == 5
    with pytest.raises(InputError, match="no image fits this pattern"):
        run(frames / "*.jpg", tmp_path / "other")


def test_an_image_becomes_an_image(frames, tmp_path):
    run(frames / "003.png", tmp_path / "new.jpg", compare=tmp_path / "both.png")
    image = cv2.imread(str(tmp_path / "new.jpg"))[..., ::-1].astype(int)
    assert np.abs(image - picture(3).astype(np.uint8) - 21).mean() < 4
    assert cv2.imread(str(tmp_path / "both.png")).shape == (300, 792, 3)
    deep = (picture(3) * 257).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    run(tmp_path / "deep.png", tmp_path / "new.png")
    restored = cv2.imread(str(tmp_path / "new.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert restored.dtype == np.uint16
    assert np.abs(restored.astype(int) - deep - 65535 // 12).max() <= 1


def test_frames_of_two_sizes_are_refused(frames, tmp_path):
    cv2.imwrite(str(frames / "005.png"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(InputError, match=r"005\.png: is 20x20, but the frames before it are 66x50"):
        run(frames, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (frames / "005.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="is not a readable image"):
        run(frames, tmp_path / "new")


# The command


def test_the_command(video, checkpoint, tmp_path, capsys):
    output, both = tmp_path / "new.mp4", tmp_path / "both.mp4"
    arguments = ["enhance", str(video), "-o", str(output), "--weights", str(checkpoint), "--device", "cpu"]
    assert main([*arguments, "--mode", "crop", "--compare", str(both), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["frames"], said["faces"], said["problem"], said["output"]) == (20, None, "", str(output))
    before, after = read_clip(video), read_clip(output)
    assert np.abs(after.astype(int) - before).mean() < 2, "an untrained model returns its input"
    assert (probe(both).frames, probe(both).has_audio, probe(both).width) == (20, True, 792)
    assert main([*arguments, "--mode", "crop"]) == 1
    assert "new.mp4: exists already; give another name or add --overwrite" in capsys.readouterr().err
    assert main([*arguments, "--mode", "crop", "--overwrite"]) == 0
    assert "new.mp4: 20 frames, in" in capsys.readouterr().out


def test_a_folder_of_videos_goes_on_after_a_bad_one(checkpoint, tmp_path, capsys):
    folder, output = tmp_path / "videos", tmp_path / "new"
    folder.mkdir()
    encode(folder / "a.mp4")
    (folder / "b.mp4").write_text("a letter")
    encode(folder / "c.mkv")
    (folder / "notes.txt").write_text("not a video")
    arguments = ["enhance", str(folder), "-o", str(output), "--weights", str(checkpoint), "--device", "cpu"]
    assert main([*arguments, "--mode", "crop", "--compare", str(tmp_path / "both")]) == 1
    error = capsys.readouterr().err
    assert "b.mp4: is not a readable video" in error
    assert "2 enhanced, 0 there already, 1 failed" in error
    assert sorted(path.name for path in output.iterdir()) == ["a.mp4", "c.mkv"]
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["a.mp4", "c.mkv"]
    (folder / "b.mp4").unlink()
    (output / "c.mkv").unlink()
    assert main([*arguments, "--mode", "crop", "--resume", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["videos"]
    assert [(Path(one["input"]).name, one.get("skipped", False)) for one in said] == [
        ("a.mp4", True),
        ("c.mkv", False),
    ]


def test_wrong_options_are_named(video, checkpoint, tmp_path, capsys, monkeypatch):
    base = ["enhance", str(video), "-o", str(tmp_path / "new.mp4"), "--device", "cpu", "--mode", "crop"]
    weights = ["--weights", str(checkpoint)]
    for arguments, message in [
        (["--weights", str(tmp_path / "nowhere")], "nowhere/transformer: is not a model folder"),
        ([*weights, "--window", "16"], "options: window: 16 frames do not fit the autoencoder"),
        ([*weights, "--window", "9", "--overlap", "9"], "options: overlap: 9 frames are more than half"),
        ([*weights, "--size", "100"], "--size 100: is not a multiple of 16"),
        ([*weights, "--tile"], "--tile: only Wan's own autoencoder"),
        ([*weights, "--fps", "0"], "--fps 0: is not positive"),
    ]:
        assert main([*base, *arguments]) == 1
        assert message in capsys.readouterr().err
    assert main(["enhance", "nothing.mp4", "-o", str(tmp_path / "new.mp4"), *weights]) == 1
    assert "nothing.mp4: there is no such file or folder" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    for preset, message in [
        ("nano", "`make demo` trains them"),
        ("wan-1.3b", "import-checkpoint` makes them"),
    ]:
        assert main([*base, "--preset", preset]) == 1
        assert message in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert main([*base, *weights, "--device", "cuda"]) == 1
        assert "no CUDA device is visible" in capsys.readouterr().err


# What goes wrong


def test_a_truncated_video_is_restored_as_far_as_it_goes(checkpoint, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
    for suffix in (".mp4", ".mkv"):
        whole, source, output = (
            tmp_path / f"whole{suffix}",
            tmp_path / f"cut{suffix}",
            tmp_path / f"new{suffix}",
        )
        write_clip(whole, noise, 25, "h264" if suffix == ".mp4" else "ffv1")
        source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        arguments = [
            "enhance",
            str(source),
            "-o",
            str(output),
            "--weights",
            str(checkpoint),
            "--mode",
            "crop",
        ]
        assert main([*arguments, "--device", "cpu"]) == 3
        error = capsys.readouterr().err
        assert f"{source}: is truncated; the" in error
        assert 15 <= probe(output).frames <= 21


def test_a_damaged_video_is_restored_around_the_damage(tmp_path):
    source = encode(tmp_path / "whole.mp4", count=200)
    content = bytearray(source.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 400] = bytes(400)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    done = run(damaged, tmp_path / "new.mp4")
    assert "is damaged in" in done.problem
    assert 150 < probe(tmp_path / "new.mp4").frames <= 200


@pytest.mark.parametrize("content", [b"this is a letter, not a film\n" * 50, b""])
def test_what_is_no_video_is_named_and_leaves_nothing(content, checkpoint, tmp_path, capsys):
    source, output = tmp_path / "bad.mp4", tmp_path / "out" / "new.mp4"
    source.write_bytes(content)
    arguments = ["enhance", str(source), "-o", str(output), "--compare", str(tmp_path / "out" / "both.mp4")]
    assert main([*arguments, "--weights", str(checkpoint), "--device", "cpu"]) == 1
    assert (
        capsys.readouterr()
        .err.strip()
        .splitlines()[-1]
        .startswith(f"error: {source}: is not a readable video")
    )
    assert not output.parent.exists() or not list(output.parent.iterdir())


@pytest.mark.parametrize("case", ["exists", "same", "compare", "container"])
def test_nothing_is_overwritten(case, video, tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(b"precious")
    output, compare, message = {
        "exists": (other, None, r"other\.mp4: exists already; give another name or add --overwrite"),
        "same": (video, None, "is the input itself"),
        "compare": (tmp_path / "new.mp4", other, r"other\.mp4: exists already"),
        "container": (
            tmp_path / "new.webm",
            None,
            r"new\.webm: is no name for the result; name it \.m4v, \.mkv",
        ),
    }[case]
    before = video.read_bytes()
    with pytest.raises(InputError, match=message):
        run(video, output, compare=compare)
    with pytest.raises(InputError, match="is the input itself"):
        run(video, video, overwrite=True)
    assert video.read_bytes() == before
    assert other.read_bytes() == b"precious"
    assert not (tmp_path / "new.mp4").exists()


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("not enough memory: 8 GB")],
)
def test_too_little_memory_says_what_to_lower(error, video, tmp_path):
    def restore(frames):
        raise error

    with pytest.raises(
        InputError, match=r"not enough memory for windows of 9 frames of 66x50; lower --window"
    ):
        run(video, tmp_path / "out" / "new.mp4", restore)
    assert not list((tmp_path / "out").iterdir())


_FULL = """
import resource, sys
sys.path.insert(0, {folder!r})
import test_enhance as tests
from vividface.errors import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    tests.run({source!r}, {output!r}, lambda frames: frames)
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [1000, 60_000, 150_000])
def test_a_full_disk_leaves_nothing_under_the_final_name(limit, tmp_path):
    """A limit on the size of files stands for the disk: it fails the writing of a part, or of the whole."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), dtype=np.uint8)
    source, output = tmp_path / "noise.mkv", tmp_path / "out" / "new.mp4"
    write_clip(source, noise, 25)
    code = _FULL.format(
        folder=str(Path(__file__).parent), limit=limit, source=str(source), output=str(output)
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "new.mp4: cannot be written (" in done.stdout
    assert not output.exists()


# Faces


def test_a_video_without_a_face_says_so(video, checkpoint, tmp_path, capsys):
    output = tmp_path / "new.mp4"
    arguments = ["enhance", str(video), "-o", str(output), "--weights", str(checkpoint), "--device", "cpu"]
    assert main(arguments) == 1
    assert "input.mp4: no face was found in 20 frames; if the frames are crops" in capsys.readouterr().err
    assert not output.exists()
    assert not (tmp_path / "new.mp4.partial").exists()


def test_the_face_of_a_real_video_is_enhanced_and_the_rest_left(face_video, checkpoint, tmp_path, capsys):
    """With a model that darkens what it is given, what changes is the face."""
    from vividface.config import FacesConfig
    from vividface.faces.backend import load_backend

    backend = load_backend(FacesConfig(backend="dlib", detection_size=640))
    source = open_source(face_video)
    darken = Model(lambda frames: frames - np.minimum(frames, 60), 128, backend, {})
    config = RestorationConfig(window=17, overlap=2)
    done = enhance(source, tmp_path / "new.mp4", darken, config, progress=False)
    assert (done.frames, done.faces) == (72, 72)
    before, after = read_clip(face_video).astype(int), read_clip(tmp_path / "new.mp4").astype(int)
    face = backend.detect([before[30].astype(np.uint8)])[0][0]
    x, y = face.landmarks[30].astype(int)
    change = (before - after)[30].mean(axis=-1)
    assert change[y - 10 : y + 10, x - 10 : x + 10].min() > 45
    assert np.abs(change[:40]).mean() < 3
    assert np.abs(change[:, :60]).mean() < 3


def test_side_by_side_is_readable_at_any_size():
    small = np.zeros((64, 80, 3), np.uint8)
    assert side_by_side(small, small, ("a", "b")).shape == (256, 640, 3)
    large = np.zeros((512, 512, 3), np.uint16)
    assert side_by_side(large, large, ("a", "b")).shape == (512, 1024, 3)
