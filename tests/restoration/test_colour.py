"""Colour corrections."""

import numpy as np
import pytest

from vividface.restoration.colour import correct_colours


@pytest.fixture(params=[np.uint8, np.uint16])
def frames(request):
    peak = np.iinfo(request.param).max
    return np.random.default_rng(0).integers(0, peak, (2, 48, 64, 3)).astype(request.param)


@pytest.mark.parametrize("kind", ["none", "adain", "wavelet"])
def test_an_unchanged_clip_stays_as_it_is(kind, frames):
    assert np.array_equal(correct_colours(frames, frames, kind=kind), frames)
    flat = np.full_like(frames, 77)
    assert np.array_equal(correct_colours(flat, flat, kind=kind), flat)


def textured(base, contrast):
    noise = np.random.default_rng(1).normal(0, contrast, (1, 64, 64, 3))
    return np.clip(np.array(base) + noise, 0, 255).astype(np.uint8)


def test_adain_gives_each_channel_its_mean_and_spread():
    lq, restored = textured((90, 120, 60), 10), textured((120, 110, 80), 25)
    corrected = correct_colours(restored, lq, kind="adain").astype(float)
    assert np.allclose(corrected.mean((1, 2)), lq.mean((1, 2)), atol=0.2)
    assert np.allclose(corrected.std((1, 2)), lq.std((1, 2)), atol=0.3)


def test_wavelet_takes_the_colour_and_leaves_the_detail():
    lq, restored = textured((90, 120, 60), 1), textured((120, 110, 80), 25)
    corrected = correct_colours(restored, lq, kind="wavelet").astype(float)
    assert np.allclose(corrected.mean((1, 2)), lq.mean((1, 2)), atol=1)
    assert corrected.std((1, 2)).min() > 0.9 * restored.std((1, 2)).min()
    assert np.array_equal(correct_colours(restored, lq, kind="none"), restored)
