"""The model that comes with the package, as it lies there."""

import cv2
import numpy as np
import pytest

from vividface.models.bundled import BUNDLED
from vividface.restoration.pipeline import OneStepFacePipeline
from vividface.video import read_clip


@pytest.fixture(scope="module")
def nano():
    return OneStepFacePipeline.from_checkpoint(BUNDLED["nano"], device="cpu")


@pytest.fixture(scope="module")
def face(face_video):
    """Nine frames of a real face at 128 px, every second pixel of the clip."""
    frames = read_clip(face_video, 0, 9)
    return np.ascontiguousarray(np.stack([cv2.pyrDown(frame) for frame in frames])[:, 20:148, 96:224])


def psnr(result, hq):
    error = ((result.astype(np.float64) - hq) ** 2).mean(axis=(1, 2, 3))
    return float((10 * np.log10(255**2 / error)).mean())


def test_it_is_small():
    assert sum(path.stat().st_size for path in BUNDLED["nano"].rglob("*")) < 32e6


def test_it_restores_a_blurred_face(nano, face):
    lq = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.6) for frame in face])
    assert psnr(nano.restore(lq), face) > psnr(lq, face) + 0.3


def test_it_leaves_a_good_face_alone(nano, face):
    assert np.array_equal(nano.restore(face), face)


@pytest.mark.parametrize("side", [64, 144, 256])
def test_it_takes_crops_of_any_side(nano, side):
    frames = np.full((5, side, side, 3), 128, np.uint8)
    restored = nano.restore(frames)
    assert restored.shape == frames.shape
    assert np.abs(restored.astype(int) - 128).max() < 8
