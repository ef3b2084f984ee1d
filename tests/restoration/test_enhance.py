import re
import wave

import numpy as np
import pytest

from vividface.cli import main
from vividface.errors import InputError
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.presets import NANO, save_checkpoint
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.enhance import enhance_video, side_by_side
from vividface.video import VideoWriter, iterate_frames, probe, read_clip, write_clip


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
    """Two seconds of a moving square with a tone, 67 x 50 px, 24000/1001 frames a second."""
    from fractions import Fraction

    tone = tmp_path / "tone.wav"
    with wave.open(str(tone), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        seconds = np.arange(32000) / 16000
        file.writeframes((np.sin(seconds * 2764) * 8000).astype("<i2").tobytes())
    path = tmp_path / "input.mkv"
    with VideoWriter(path, 67, 50, Fraction(24000, 1001), audio_from=tone) as writer:
        for index in range(48):
            frame = np.full((50, 67, 3), 60, np.uint8)
            frame[10:30, index : index + 16] = (220, 120, 40)
            writer.write(frame)
    return path


def test_the_command_keeps_frames_rate_and_sound(video, checkpoint, tmp_path, capsys):
    output, both = tmp_path / "new.mkv", tmp_path / "both.mkv"
    arguments = ["enhance", str(video), "-o", str(output), "--weights", str(checkpoint), "--device", "cpu"]
    assert main([*arguments, "--window", "17", "--overlap", "4", "--compare", str(both)]) == 0
    assert re.search(r"new\.mkv: 48 frames in [\d.]+ s", capsys.readouterr().out)
    before, after = probe(video), probe(output)
    assert (after.frames, after.fps, after.has_audio) == (48, before.fps, True)
    assert (after.width, after.height) == (66, 50), "H.264 has even sides"
    truth = read_clip(video)[:, :, :66].astype(int)
    assert np.abs(read_clip(output) - truth).mean() < 3, "an untrained model returns its input"
    assert probe(both).frames == 48
    assert probe(both).has_audio


def test_frames_are_restored_in_order_and_in_windows(video, tmp_path):
    lengths = []

    def brighten(frames):
        lengths.append(len(frames))
        return np.clip(frames.astype(int) + 20, 0, 255).astype(np.uint8)

    enhance_video(video, tmp_path / "new.mkv", brighten, 9, 2)
    assert max(lengths) <= 9
    frames = read_clip(tmp_path / "new.mkv").astype(int)
    truth = np.clip(read_clip(video)[:, :, :66].astype(int) + 20, 0, 255)
    assert np.abs(frames - truth).mean() < 3


@pytest.mark.parametrize("case", ["exists", "same", "compare"])
def test_nothing_is_overwritten(case, video, tmp_path):
    other = tmp_path / "other.mkv"
    other.write_bytes(b"precious")
    output, compare, message = {
        "exists": (other, None, r"other\.mkv: exists already; give another name or add --overwrite"),
        "same": (video, None, "exists already"),
        "compare": (tmp_path / "new.mkv", other, r"other\.mkv: exists already"),
    }[case]
    before = video.read_bytes()
    with pytest.raises(InputError, match=message):
        enhance_video(video, output, lambda frames: frames, 9, 2, compare)
    with pytest.raises(InputError, match="is the input itself"):
        enhance_video(video, video, lambda frames: frames, 9, 2, overwrite=True)
    assert video.read_bytes() == before
    assert other.read_bytes() == b"precious"
    assert not (tmp_path / "new.mkv").exists()


def not_a_video(path):
    path.write_text("this is a letter, not a film\n" * 50)


def truncated(path):
    whole = path.with_name("whole.mp4")
    frames = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
    write_clip(whole, frames, 25, "h264")
    content = whole.read_bytes()
    whole.unlink()
    path.write_bytes(content[: len(content) // 2])


def truncated_matroska(path):
    whole = path.with_name("whole.mkv")
    frames = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
    write_clip(whole, frames, 25)
    content = whole.read_bytes()
    whole.unlink()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("make", "suffix", "message"),
    [
        (not_a_video, ".mp4", "is not a readable video"),
        (truncated, ".mp4", "is truncated, only 20 of its frames are there; get it again"),
        (truncated_matroska, ".mkv", "is truncated, only 20 of its frames are there; get it again"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(make, suffix, message, checkpoint, tmp_path, capsys):
    source = tmp_path / f"bad{suffix}"
    make(source)
    output, both = tmp_path / "out" / "new.mp4", tmp_path / "out" / "both.mp4"
    arguments = ["enhance", str(source), "-o", str(output), "--compare", str(both)]
    status = main([*arguments, "--weights", str(checkpoint), "--device", "cpu"])
    error = capsys.readouterr().err
    assert status == 1
    last = error.strip().splitlines()[-1]
    assert last.startswith(f"error: {source}: ")
    assert re.search(message, last)
    assert not output.parent.exists() or not list(output.parent.iterdir())


def test_a_failure_of_the_model_leaves_nothing(video, tmp_path):
    calls = []

    def fail(frames):
        if calls:
            raise RuntimeError("out of memory")
        calls.append(1)
        return frames

    with pytest.raises(RuntimeError, match="out of memory"):
        enhance_video(video, tmp_path / "out" / "new.mkv", fail, 9, 2, tmp_path / "out" / "both.mkv")
    assert not list((tmp_path / "out").iterdir())


def test_wrong_weights_and_windows_are_named(video, checkpoint, tmp_path, capsys):
    base = ["enhance", str(video), "-o", str(tmp_path / "new.mp4"), "--device", "cpu"]
    assert main([*base, "--weights", str(tmp_path / "nowhere")]) == 1
    assert "nowhere/transformer: is not a model folder" in capsys.readouterr().err
    assert main([*base, "--weights", str(checkpoint), "--window", "16"]) == 1
    assert capsys.readouterr().err.startswith("error: --window, --overlap: ")
    assert main([*base, "--weights", str(checkpoint), "--window", "9", "--overlap", "9"]) == 1
    assert capsys.readouterr().err.startswith("error: --window, --overlap: ")


def test_side_by_side_is_readable_at_any_size():
    small = np.zeros((64, 80, 3), np.uint8)
    assert side_by_side(small, small, ("a", "b")).shape == (256, 640, 3)
    large = np.zeros((512, 512, 3), np.uint8)
    assert side_by_side(large, large, ("a", "b")).shape == (512, 1024, 3)


def test_frames_are_read_one_by_one(video):
    frames = iterate_frames(video)
    assert next(frames).shape == (50, 67, 3)
