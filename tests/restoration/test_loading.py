"""The model and its settings, as the command and `enhance_video` load them."""

from dataclasses import replace

import numpy as np
import pytest

from vividface.errors import InputError
from vividface.models.presets import NANO
from vividface.restoration import loading
from vividface.restoration.enhance import enhance_video
from vividface.restoration.loading import RestorerOptions, enhance_config, load_restorer
from vividface.weights import cache
from vividface.weights.catalogue import GROUPS

from .helpers import restorer_of


def test_a_bad_input_is_told_before_the_weights_are_loaded(tmp_path):
    (tmp_path / "bad.mp4").write_text("a letter")
    with pytest.raises(InputError, match=r"bad\.mp4: is not a readable video"):
        enhance_video(tmp_path / "bad.mp4", tmp_path / "new.mp4", model=tmp_path / "nowhere")


def test_windows_are_those_of_the_training_unless_given():
    restorer = restorer_of()
    config = enhance_config(restorer)
    assert (config.window, config.overlap) == (restorer.clip_frames, 1)
    assert config.min_face == 24, "the configuration's own default"
    config = enhance_config(restorer, window=81, scale=2)
    assert (config.window, config.overlap, config.scale) == (81, 8, 2)
    assert enhance_config(restorer, window=1).overlap == 0
    with pytest.raises(InputError, match="options: scale: Input should be less than or equal to 8"):
        enhance_config(restorer, scale=9)


@pytest.mark.parametrize("weights_are_here", [True, False])
def test_a_gpu_takes_facexlib_only_where_nothing_has_to_be_fetched(monkeypatch, tmp_path, weights_are_here):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    if weights_are_here:
        for name in GROUPS["facexlib"]:
            cache._local(name).touch()
    expected = "facexlib" if weights_are_here else "mediapipe"
    assert loading._backend_name(RestorerOptions(), "cuda") == expected
    assert loading._backend_name(RestorerOptions(), "cpu") == "mediapipe"
    assert loading._backend_name(RestorerOptions(faces="facexlib"), "cuda") == "facexlib"
    monkeypatch.setattr(loading, "find_spec", lambda _: None)
    assert loading._backend_name(RestorerOptions(), "cuda") == "mediapipe"


def test_a_restorer_knows_the_clips_it_was_trained_on(checkpoint):
    options = RestorerOptions(model=checkpoint, mode="crop", device="cpu")
    restorer = load_restorer(options)
    assert restorer.backend is None
    assert (restorer.clip_frames, restorer.size) == (NANO["clip_frames"], NANO["clip_size"])
    again = load_restorer(options)
    native = load_restorer(replace(options, attention="native"))
    frames = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), dtype=np.uint8)
    assert np.array_equal(native.restore(frames), again.restore(frames))
    assert native.fingerprint != again.fingerprint
    assert again.fingerprint == restorer.fingerprint
