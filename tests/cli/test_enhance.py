"""The command `vividface enhance`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from restoration.helpers import encode, write_checkpoint

from vividface.cli.main import main
from vividface.video import probe, read_clip, write_clip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "nano")


@pytest.fixture
def video(tmp_path):
    return encode(tmp_path / "input.mp4")


def test_the_command(video, checkpoint, tmp_path, capsys):
    output, both = tmp_path / "new.mp4", tmp_path / "both.mp4"
    arguments = ["enhance", str(video), "-o", str(output), "--model", str(checkpoint), "--device", "cpu"]
    assert main([*arguments, "--mode", "crop", "--compare", str(both), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["frames"], said["faces"], said["problem"], said["output"]) == (20, None, "", str(output))
    before, after = read_clip(video), read_clip(output)
    assert np.abs(after.astype(int) - before).mean() < 2, "an untrained model returns its input"
    assert (probe(both).num_frames, probe(both).has_audio, probe(both).width) == (20, True, 792)
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
    arguments = ["enhance", str(folder), "-o", str(output), "--model", str(checkpoint), "--device", "cpu"]
    assert main([*arguments, "--mode", "crop", "--compare", str(tmp_path / "both")]) == 1
    error = capsys.readouterr().err
    assert "b.mp4: is not a readable video" in error
    assert "2 enhanced, 0 there already, 1 failed" in error
    assert sorted(path.name for path in output.iterdir()) == ["a.json", "a.mp4", "c.json", "c.mkv"]
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
    weights = ["--model", str(checkpoint)]
    for arguments, message in [
        (
            ["--model", str(tmp_path / "nowhere")],
            "nowhere: is neither a checkpoint folder nor a model's name: nano, vividface-1.3b",
        ),
        ([*weights, "--window", "16"], "options: window: 16 frames do not fit the autoencoder"),
        ([*weights, "--window", "9", "--overlap", "9"], "options: overlap: 9 frames are more than half"),
        ([*weights, "--grain", "2"], "options: grain"),
        ([*weights, "--max-turn", "0"], "options: max_turn"),
        ([*weights, "--size", "100"], "--size 100: is not a multiple of 16"),
        ([*weights, "--tile"], "--tile: only Wan's own autoencoder"),
        ([*weights, "--attention", "fast"], "--attention fast: is none of native, _native_cudnn"),
        ([*weights, "--attention", "_native_flash"], "--attention _native_flash: runs on a GPU alone"),
        ([*weights, "--fps", "0"], "--fps 0: is not positive"),
        ([*weights, "--strength", "2"], "options: strength: 2 is neither a number from 0 to 1 nor auto"),
        ([*weights, "--strength", "auto"], "--strength auto: the mode crop looks for no faces"),
        ([*weights, "--face", "3,4@soon"], "options: face: 'soon' is no time; write seconds (83.5) or"),
        ([*weights, "--face", "largest"], "--face largest: the mode crop looks for no faces"),
        ([*weights, "--start", "2", "--end", "1"], "--end 1: is not after --start 2 (s)"),
    ]:
        assert main([*base, *arguments]) == 1
        assert message in capsys.readouterr().err
    assert main(["enhance", "nothing.mp4", "-o", str(tmp_path / "new.mp4"), *weights]) == 1
    assert "nothing.mp4: there is no such file or folder" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "cache"))
    assert main([*base, "--model", "vividface-1.3b"]) == 1
    assert "run `vividface weights fetch vividface-1.3b`" in capsys.readouterr().err
    assert main([*base, *weights, "--autoencoder", "taew2_1"]) == 1
    assert "run `vividface weights fetch taew2_1`" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert main([*base, *weights, "--device", "cuda"]) == 1
        assert "no CUDA device is visible" in capsys.readouterr().err


def test_a_part_and_its_strength(video, checkpoint, tmp_path, capsys):
    output = tmp_path / "new.mp4"
    arguments = ["enhance", str(video), "-o", str(output), "--model", str(checkpoint), "--device", "cpu"]
    part = ["--start", "0.1", "--end", "00:00:00.4", "--frames", "8", "--strength", "0.5"]
    assert main([*arguments, "--mode", "crop", *part, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["frames"], said["strength"], said["people"]) == (8, 0.5, [])
    assert probe(output).num_frames == 8


def test_a_preview_needs_no_output(video, checkpoint, tmp_path, capsys):
    base = ["enhance", str(video), "--model", str(checkpoint), "--device", "cpu"]
    preview = ["--preview", str(tmp_path / "look.png")]
    assert main([*base, *preview, "--cut-threshold", "0"]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'look.png'}: at 0.")
    assert main([*base, *preview, "--json", "--overwrite"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["previews"]
    assert (shown["path"], shown["face"]) == (str(tmp_path / "look.png"), False)
    for wrong, message in (
        (base, "required: -o/--output"),
        ([*base, "--start", "soon"], "'soon' is no time"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_a_truncated_video_is_restored_as_far_as_it_goes(checkpoint, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
    for suffix in (".mp4", ".mkv"):
        whole, source, output = (
            tmp_path / f"whole{suffix}",
            tmp_path / f"cut{suffix}",
            tmp_path / f"new_of_{suffix[1:]}{suffix}",
        )
        write_clip(whole, noise, 25, codec="h264" if suffix == ".mp4" else "ffv1")
        source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        arguments = [
            "enhance",
            str(source),
            "-o",
            str(output),
            "--model",
            str(checkpoint),
            "--mode",
            "crop",
        ]
        assert main([*arguments, "--device", "cpu"]) == 3
        error = capsys.readouterr().err
        assert f"{source}: is truncated; the" in error
        assert 15 <= probe(output).num_frames <= 21


@pytest.mark.parametrize("content", [b"this is a letter, not a film\n" * 50, b""])
def test_what_is_no_video_is_named_and_leaves_nothing(content, checkpoint, tmp_path, capsys):
    source, output = tmp_path / "bad.mp4", tmp_path / "out" / "new.mp4"
    source.write_bytes(content)
    arguments = ["enhance", str(source), "-o", str(output), "--compare", str(tmp_path / "out" / "both.mp4")]
    assert main([*arguments, "--model", str(checkpoint), "--device", "cpu"]) == 1
    assert (
        capsys.readouterr()
        .err.strip()
        .splitlines()[-1]
        .startswith(f"error: {source}: is not a readable video")
    )
    assert not output.parent.exists() or not list(output.parent.iterdir())


def test_a_video_without_a_face_says_so(video, checkpoint, tmp_path, capsys):
    output = tmp_path / "new.mp4"
    arguments = ["enhance", str(video), "-o", str(output), "--model", str(checkpoint), "--device", "cpu"]
    assert main(arguments) == 1
    assert "input.mp4: no face was found in 20 frames; if the frames are crops" in capsys.readouterr().err
    assert not output.exists()
    assert not (tmp_path / "new.mp4.partial").exists()


def test_ctrl_c(video, checkpoint, tmp_path, monkeypatch, capsys):
    from vividface.restoration import pipeline

    monkeypatch.setattr(
        pipeline.OneStepFacePipeline, "restore", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    arguments = ["enhance", str(video), "-o", str(tmp_path / "new.mp4"), "--model", str(checkpoint)]
    assert main([*arguments, "--mode", "crop", "--device", "cpu"]) == 130
    assert capsys.readouterr().err.strip().endswith("the same command with --resume resumes it")


@pytest.mark.parametrize("rate", ["1/0", "nan", "fast", ""])
def test_a_rate_that_is_no_number_is_told(rate, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["enhance", str(tmp_path), "-o", str(tmp_path / "new.mp4"), "--fps", rate])
    assert ended.value.code == 2
    assert f"argument --fps: {rate}: is no number or fraction" in capsys.readouterr().err
