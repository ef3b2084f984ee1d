"""The baselines that are no model of ours."""

import subprocess
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from vividface.config import BASELINES, FACE_NETWORKS
from vividface.config.evaluation import BaselineName
from vividface.errors import InputError, MissingWeightsError
from vividface.evaluation.methods import builtin
from vividface.evaluation.methods.builtin import RealESRGAN, load_builtin
from vividface.weights.cache import is_cached


def picture(height, width, frames=4):
    """A smooth texture in colour, still over time."""
    seed = np.random.default_rng(1).uniform(20, 235, (-(-height // 20), -(-width // 20), 3))
    image = np.clip(cv2.resize(seed, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255)
    return np.repeat(image[None], frames, axis=0)


def noisy(clean, level=12):
    noise = np.random.default_rng(0).normal(0, level, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def error(first, second):
    return float(np.mean((first.astype(np.float64) - second) ** 2))


@pytest.fixture(scope="module")
def realesrgan():
    if not (is_cached("realesrgan_param") and is_cached("realesrgan_bin")):
        pytest.skip("the network is not in the cache; run `vividface weights fetch realesrgan`")
    return load_builtin("realesrgan")


def test_the_configurations_baselines_are_these_and_the_models_own():
    assert {*builtin._LOADERS, *FACE_NETWORKS, "autoencoder", "untuned"} == set(BASELINES)
    assert get_args(BaselineName) == tuple(BASELINES)


def test_bicubic_is_the_input():
    frames = noisy(picture(32, 48))
    np.testing.assert_array_equal(load_builtin("bicubic")(frames), frames)


@pytest.mark.parametrize("shape", [(64, 96), (33, 47)])
def test_classical_keeps_shape_and_colours(shape):
    clean = picture(*shape, frames=8)
    frames = noisy(clean, 2)
    restored = load_builtin("classical")(frames)
    assert restored.shape == frames.shape
    assert restored.dtype == np.uint8
    assert restored.flags.writeable
    np.testing.assert_allclose(restored.mean(axis=(0, 1, 2)), frames.mean(axis=(0, 1, 2)), atol=2)
    assert error(restored[..., ::-1], clean) > 10 * error(restored, clean)


def test_classical_calms_noise_over_time_and_sharpens_edges():
    edge = np.repeat(np.where(np.arange(64) < 32, 60.0, 190.0)[None, :, None], 64, axis=0)
    clean = np.repeat(cv2.GaussianBlur(np.repeat(edge, 3, axis=2), (0, 0), 2)[None], 12, axis=0)
    frames = noisy(clean, 3)
    restored = load_builtin("classical")(frames)
    flicker = [np.diff(video[4:, :, :24].astype(float), axis=0).std() for video in (frames, restored)]
    assert flicker[1] < 0.8 * flicker[0]
    slope = [np.diff(video[4:].mean(axis=(0, 1, 3))).max() for video in (frames, restored)]
    assert slope[1] > 1.1 * slope[0]


def test_classical_handles_one_frame_and_many():
    one = noisy(picture(32, 32, 1))
    assert load_builtin("classical")(one).shape == one.shape
    many = noisy(picture(128, 128, 120))
    assert load_builtin("classical")(many).shape == many.shape


def test_classical_says_when_ffmpeg_fails(monkeypatch):
    monkeypatch.setattr(
        builtin.subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(command, 1, stderr=b"out of memory"),
    )
    with pytest.raises(RuntimeError, match="out of memory"):
        load_builtin("classical")(noisy(picture(16, 16)))


@pytest.mark.parametrize("shape", [(48, 64), (35, 41), (256, 257)])
def test_realesrgan_removes_noise_and_keeps_shape_and_colours(realesrgan, shape):
    clean = picture(*shape, frames=1)
    frames = noisy(clean)
    restored = realesrgan(frames)
    assert restored.shape == frames.shape
    assert restored.dtype == np.uint8
    assert error(restored, clean) < 0.5 * error(frames, clean)


@pytest.mark.parametrize("shape", [(48, 64), (35, 41), (256, 257)])
def test_realesrgan_keeps_things_in_their_place(realesrgan, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    disc = np.hypot(y - 17.3, x - 21.6) < 9
    frame = cv2.GaussianBlur(np.where(disc[..., None], 220.0, 30.0).repeat(3, axis=2), (0, 0), 1)
    restored = realesrgan(noisy(frame[None], 0))[0]
    centres = []
    for image in (frame, restored):
        weight = np.clip(image.mean(axis=-1) - 60, 0, 130)
        centres.append([(weight * axis).sum() / weight.sum() for axis in (y, x)])
    np.testing.assert_allclose(centres[1], centres[0], atol=0.1)


def test_realesrgan_is_deterministic(realesrgan):
    frames = noisy(picture(40, 40, 2))
    np.testing.assert_array_equal(realesrgan(frames), realesrgan(frames))


def test_realesrgan_needs_its_files(monkeypatch, tmp_path):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="vividface weights fetch realesrgan_param"):
        load_builtin("realesrgan")
    broken = tmp_path / "broken.param"
    broken.write_text("not a network")
    with pytest.raises(InputError, match="ncnn cannot load it"):
        RealESRGAN(broken, Path(tmp_path / "broken.bin"))


def test_an_unknown_baseline_is_named():
    with pytest.raises(InputError, match="no baseline 'sharpen'"):
        load_builtin("sharpen")
