"""A compiled model: the values of the one that is not, one length of clips, and a word about its time."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from vividface.errors import InputError
from vividface.models import compilation
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.presets import NANO
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.compiled import CompiledRestorer, FixedLengthRestorer
from vividface.restoration.enhance import enhance
from vividface.restoration.loading import RestorerOptions, load_restorer
from vividface.restoration.opening import open_source
from vividface.restoration.pipeline import OneStepFacePipeline

from .helpers import WINDOWS, encode, restorer_of


def test_a_compiled_model_restores_as_before(moving_frames):
    if shutil.which("g++") is None:
        pytest.skip("torch compiles with g++, which is not installed")
    torch.manual_seed(0)
    shape = NANO | {"num_layers": 1, "num_attention_heads": 1, "ffn_dim": 32, "keep_detail": None}
    transformer = OneStepTransformer(**shape).eval().requires_grad_(requires_grad=False)
    pipeline = OneStepFacePipeline(transformer, DCTAutoencoder(decay=0, lapped=True))
    frames = moving_frames[:5, :32, :32]
    expected = pipeline.restore(frames)
    assert np.abs(expected.astype(int) - frames).max() > 3, "a model that changes nothing proves nothing"
    torch.compiler.reset()
    compilation.compile_parts(transformer, pipeline.autoencoder)
    restored = pipeline.restore(frames)
    assert np.abs(restored.astype(int) - expected).max() <= 1
    with torch.compiler.set_stance("fail_on_recompile"):
        assert np.array_equal(pipeline.restore(frames), restored), "the next window is not compiled again"


def test_without_a_compiler_it_says_so(checkpoint, monkeypatch):
    monkeypatch.setattr(compilation, "get_cpp_compiler", _raise_invalid)
    with pytest.raises(InputError, match="--compile: no C\\+\\+ compiler was found"):
        load_restorer(RestorerOptions(model=checkpoint, mode="crop", device="cpu", compile=True))


def _raise_invalid():
    raise compilation.InvalidCxxCompiler


def test_each_shape_is_told_once():
    said = []
    restore = CompiledRestorer(lambda frames, *, strength=1: frames, said.append)
    frames = np.zeros((9, 64, 48, 3), np.uint8)
    restore(frames, strength=0)
    assert not said, "the model is not called"
    restore(frames)
    restore(frames, strength=0.5)
    restore(frames[:5])
    assert [re.sub(r"\d+ s$", "N s", line) for line in said] == [
        "compiled, with the first 9 frames of 48x64, in N s",
        "compiled, with the first 5 frames of 48x64, in N s",
    ]


def test_shorter_clips_are_padded_by_their_last_frame():
    seen = []

    def restore(frames, *, strength=1):
        seen.append((frames.copy(), strength))
        return frames + 1

    frames = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    restored = FixedLengthRestorer(restore, 5)(frames, strength=0.5)
    assert np.array_equal(restored, frames + 1)
    ((given, strength),) = seen
    assert (given[:, 0, 0, 0].tolist(), strength) == ([0, 1, 2, 2, 2], 0.5)
    assert len(FixedLengthRestorer(restore, 2)(frames)) == 3
    assert len(seen[-1][0]) == 3, "longer ones are taken as they are"


@pytest.mark.parametrize("count", [20, 5])
def test_a_video_gives_a_compiled_model_one_length(count, tmp_path):
    lengths = set()

    def restore(frames, *, strength=1):
        lengths.add(len(frames))
        return frames

    source = open_source(encode(tmp_path / "input.mp4", count=count))
    restorer = replace(restorer_of(restore), has_one_length=True)
    result = enhance(source, tmp_path / "new.mp4", restorer=restorer, config=WINDOWS)
    assert result.num_frames == count
    assert lengths == {min(count, WINDOWS.window)}
