"""The warping error, on motions that are known."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from vividface.evaluation.metrics import METRICS, Clip, NotMeasurableError
from vividface.evaluation.metrics.motion import warp
from vividface.video import read_clip


@pytest.fixture(scope="module")
def texture():
    """A smooth random picture, (160, 200, 3) uint8, of full contrast."""
    noise = np.random.default_rng(0).normal(size=(160, 200, 3))
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.fixture(scope="module")
def moving(texture):
    """Eight frames of 128 px that move by 3 px to the right and 1 px down."""
    return np.stack([texture[20 + i : 148 + i, 10 + 3 * i : 138 + 3 * i] for i in range(8)])


def ewarp(frames, reference=None):
    return METRICS["ewarp"]().measure(Clip(frames=frames, reference=reference))


def test_a_translation_has_hardly_any_error(moving):
    assert ewarp(moving) == ewarp(moving, moving) < 0.01


def test_flicker_is_its_own_squared_size(moving):
    levels = 100 + 0.5 * moving.astype(np.float64)
    offsets = np.array([0, 10, 0, 10, 0, 10, 0, 10])[:, None, None, None]
    flickering = (levels + offsets).astype(np.uint8)
    expected = 1000 * (10 / 255) ** 2
    assert ewarp(flickering, moving) == pytest.approx(expected, rel=0.05)
    assert ewarp(flickering) > 0.5 * expected


def test_freezing_costs_more_than_the_truth_where_there_is_one(moving):
    frozen = np.repeat(moving[:1], 8, axis=0)
    differences = ((moving[0] / 255 - warp(moving[0] / np.float32(255), still(3, 1))) ** 2)[2:-2, 4:-4]
    assert ewarp(frozen, moving) == pytest.approx(1000 * differences.mean(), rel=0.1)
    assert ewarp(frozen) == 0


def still(x, y):
    return np.full((128, 128, 2), (x, y), np.float32)


def test_what_is_covered_is_left_out(texture):
    """A square goes over a still picture, 10 px a frame: most of what it covers has no counterpart."""
    square = texture[100:140, 20:60]
    frames = np.stack([texture.copy() for _ in range(6)])
    for index, frame in enumerate(frames):
        frame[60:100, 40 + 10 * index : 80 + 10 * index] = square
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    everywhere = []
    for frame, following in pairwise(frames):
        forward = flow.calc(*(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (frame, following)), None)
        warped = warp(following.astype(np.float32), forward)
        everywhere.append((((frame - warped) / 255) ** 2).mean() * 1000)
    assert ewarp(frames, frames) < 0.5 * np.mean(everywhere)


def test_warping_takes_pixels_from_where_they_went(texture):
    image = texture.astype(np.float32)
    flow = np.zeros((160, 200, 2), np.float32)
    flow[..., 0], flow[..., 1] = 4, -2
    np.testing.assert_allclose(warp(image, flow)[2:, :-4], image[:-2, 4:], atol=1e-3)


def test_real_video_ranks_truth_flicker_and_freezing(shared):
    truth = read_clip(shared / "faces" / "bench" / "VFHQ-Test_1_GT.mp4", 0, 5)
    noise = np.random.default_rng(0).normal(0, 8, (5, 1, 1, 1))
    flickering = np.clip(truth + noise, 0, 255).astype(np.uint8)
    frozen = np.repeat(truth[:1], 5, axis=0)
    value = ewarp(truth, truth)
    assert ewarp(flickering, truth) > 2 * value
    assert ewarp(frozen, truth) > 2 * value


def test_a_single_frame_has_no_motion(moving):
    with pytest.raises(NotMeasurableError, match="fewer than 2 frames"):
        ewarp(moving[:1])
