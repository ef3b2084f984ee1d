"""The command `vividface benchmark`."""

import json

import pytest
import torch
from restoration.helpers import encode, write_checkpoint

from vividface.cli.main import main
from vividface.restoration import speed


@pytest.fixture
def checkpoint(tmp_path):
    return write_checkpoint(tmp_path / "nano")


SMALL = ["--frames", "5", "--size", "32", "--device", "cpu", "--repetitions", "1"]


def rows(text):
    """The rows of the printed tables by their first cell, as cells by title."""
    found = {}
    for block in text.split("\n\n"):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()]
        for line in lines[2:] if block.lstrip().startswith("|") else []:
            found.setdefault(line[0], []).append(dict(zip(lines[0], line, strict=True)))
    return found


def test_the_parts_of_a_model_and_a_video(checkpoint, tmp_path, capsys):
    video, figures = encode(tmp_path / "input.mp4"), tmp_path / "figures.json"
    arguments = ["--model", str(checkpoint), "--kinds", "eager", "--json", str(figures)]
    assert main(["benchmark", *SMALL, *arguments, "--video", str(video), "--mode", "crop"]) == 0
    said = capsys.readouterr().out
    for line in ("clip: 5x32x32", f"torch: {torch.__version__}", "attention: native, torch chooses"):
        assert f"- {line}\n" in said
    parts, footage = rows(said)["eager"]
    assert all(float(parts[f"{part}, s"]) > 0 for part in speed.PARTS)
    assert float(parts["process so far, GiB"]) > 0
    assert all(float(footage[f"{stage}, s"]) >= 0 for stage in ("reading", "model", "pasting", "writing"))
    assert footage["faces, s"] == "", "the mode crop looks for none"
    written = json.loads(figures.read_text())
    assert written["about"]["model"] == str(checkpoint)
    whole = written["parts"]["eager"]["whole"]
    assert float(parts["whole, s"]) == pytest.approx(whole["seconds"], rel=0.01)
    assert written["footage"]["eager"]["num_frames"] == 20


def test_the_tiny_autoencoder_is_compared(capsys, monkeypatch):
    from vividface.models import presets

    monkeypatch.setattr(presets, "WAN_1_3B", {"num_layers": 1, "num_attention_heads": 1, "ffn_dim": 8})
    assert main(["benchmark", *SMALL, "--preset", "wan-1.3b", "--kinds", "tiny"]) == 0
    said = capsys.readouterr().out
    assert "- model: wan-1.3b, random weights\n" in said
    assert rows(said).keys() == {"tiny autoencoder"}


def test_what_does_not_fit_says_so_and_the_rest_is_measured(checkpoint, capsys, monkeypatch):
    from vividface.models.autoencoders import DCTAutoencoder

    def decode(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(DCTAutoencoder, "decode_video", decode)
    assert main(["benchmark", *SMALL, "--model", str(checkpoint), "--kinds", "eager"]) == 0
    (row,) = rows(capsys.readouterr().out)["eager"]
    assert row["decode, s"] == row["whole, s"] == "out of memory"
    assert float(row["transformer, s"]) > 0


def test_a_kind_that_cannot_be_compiled_says_why(checkpoint, capsys, monkeypatch):
    from vividface.models import compilation

    def no_compiler():
        raise compilation.InvalidCxxCompiler

    monkeypatch.setattr(compilation, "get_cpp_compiler", no_compiler)
    assert main(["benchmark", *SMALL, "--model", str(checkpoint), "--kinds", "eager", "compiled"]) == 0
    found = rows(capsys.readouterr().out)
    assert "no C++ compiler was found" in found["compiled"][0]["whole, s"]
    assert float(found["eager"][0]["whole, s"]) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repetitions", "0"], "--repetitions 0: is not positive"),
        (["--preset", "nano", "--video", "a.mp4"], "--video: needs a model's weights"),
        (["--video", "nothing.mp4"], "nothing.mp4: there is no such file"),
        (["--frames", "6"], "--frames 6: is not 1 + a multiple of 4"),
        (["--size", "40"], "--size 40: is not a multiple of 16"),
        (["--attention", "fast"], "--attention fast: is none of native"),
    ],
)
def test_wrong_options_are_named(arguments, message, capsys):
    assert main(["benchmark", "--device", "cpu", *arguments]) == 1
    assert message in capsys.readouterr().err
