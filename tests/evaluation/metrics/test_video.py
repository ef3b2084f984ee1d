"""Frechet video distance, of sets and of pairs."""

import numpy as np
import pytest
import torch

from vividface.evaluation.metrics import METRICS, Clip, NotMeasurableError
from vividface.evaluation.metrics.video import frechet_distance, window_starts
from vividface.evaluation.networks.i3d import prepare_window


@pytest.fixture
def metrics(fetched):
    fetched("fvd")
    return METRICS["fvd_set"](), METRICS["fvd_pair"]()


def correlated(generator, number, dimensions=12):
    mixing = generator.normal(size=(dimensions, dimensions))
    return generator.normal(size=(number, dimensions)) @ mixing + generator.normal(size=dimensions)


def by_square_root(a, b):
    from scipy.linalg import sqrtm

    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(s1 @ s2))
    return np.square(a.mean(axis=0) - b.mean(axis=0)).sum() + np.trace(s1 + s2 - 2 * root)


@pytest.mark.filterwarnings("ignore:Matrix is singular")
@pytest.mark.parametrize(("n", "m"), [(60, 45), (13, 200), (12, 12), (40, 5), (6, 9), (2, 3)])
def test_frechet_distance_equals_scipys_square_root(n, m):
    """With more features than dimensions, and with fewer: there both covariances are singular."""
    generator = np.random.default_rng(n)
    a, b = correlated(generator, n), correlated(generator, m)
    # The square root of a singular matrix is found to about the root of the precision.
    assert frechet_distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-9 if min(n, m) > 12 else 1e-5)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-12)


def test_frechet_distance_of_known_gaussians():
    """Two sets with exactly these means and covariances: sum (m1 - m2)^2 + sum (s1 - s2)^2 over the axes."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    unit = corners * np.sqrt(7 / 8)
    a = unit * [1, 2, 3] + [0, 5, -1]
    b = unit * [4, 2, 1] + [3, 5, 1]
    assert frechet_distance(a, b) == pytest.approx((9 + 0 + 4) + (9 + 0 + 4), rel=1e-12)


def test_frechet_distance_of_equal_sets_and_of_float32():
    features = correlated(np.random.default_rng(0), 30, 400).astype(np.float32)
    assert 0 <= frechet_distance(features, features) < 1e-9
    moved = features.astype(float) + 2
    assert frechet_distance(features, moved) == pytest.approx(4 * 400, rel=1e-9)


@pytest.mark.parametrize(
    ("num_frames", "starts"),
    [(16, [0]), (17, [0, 1]), (24, [0, 8]), (32, [0, 16]), (81, [0, 13, 26, 39, 52, 65])],
)
def test_windows_cover_every_frame(num_frames, starts):
    assert window_starts(num_frames).tolist() == starts
    covered = {frame for start in starts for frame in range(start, start + 16)}
    assert covered == set(range(num_frames))


def test_frames_are_resized_and_cropped_as_by_stylegan_v():
    """A bilinear weight written out for one pixel of a wide clip, and the centre that is kept."""
    frames = np.random.default_rng(0).integers(0, 256, (16, 300, 500, 3), dtype=np.uint8)
    window = prepare_window(torch.from_numpy(frames)).numpy()
    assert window.shape == (3, 16, 224, 224)
    assert window.min() >= -1
    assert window.max() <= 1
    # 500 px become ceil(500 * 224 / 300) = 374, of which 75 px are cut on the left.
    y, x = (100 + 0.5) * 300 / 224 - 0.5, (50 + 75 + 0.5) * 500 / 374 - 0.5
    top, left = int(y), int(x)
    dy, dx = y - top, x - left
    pixels = frames[3, top : top + 2, left : left + 2, 2].astype(float)
    expected = np.array([1 - dy, dy]) @ pixels @ np.array([1 - dx, dx])
    assert window[2, 3, 100, 50] == pytest.approx(expected / 255 * 2 - 1, abs=1e-4)


def test_red_comes_first():
    frames = np.zeros((16, 224, 224, 3), np.uint8)
    frames[..., 0] = 255
    window = prepare_window(torch.from_numpy(frames))
    assert window.amin(dim=(1, 2, 3)).tolist() == [1, -1, -1]
    assert window.amax(dim=(1, 2, 3)).tolist() == [1, -1, -1]


def test_clips_of_sets_and_pairs(metrics, moving_frames):
    """A pair's value is the squared distance of the means of the set's features."""
    fvd_set, fvd_pair = metrics
    clean = np.concatenate([moving_frames, moving_frames[::-1]])[:17]
    noise = np.random.default_rng(0).normal(0, 40, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    reference, features = fvd_set.features(clean), fvd_set.features(noisy)
    assert features.shape == (2, 400)
    assert features.dtype == np.float32
    assert fvd_set.distance(features, features) == pytest.approx(0, abs=1e-6)
    assert fvd_set.distance(features, reference) > 10
    pair = fvd_pair.measure(Clip(frames=noisy, reference=clean))
    expected = np.square(features.mean(axis=0) - reference.mean(axis=0)).sum()
    assert pair == pytest.approx(float(expected), rel=1e-4)


def test_what_has_no_value(metrics, moving_frames):
    fvd_set, fvd_pair = metrics
    short = Clip(frames=moving_frames, reference=moving_frames)
    with pytest.raises(NotMeasurableError, match="the clip has fewer than 16 frames"):
        fvd_pair.measure(short)
    with pytest.raises(NotMeasurableError, match="the clip has fewer than 16 frames"):
        fvd_set.features(moving_frames)
    with pytest.raises(NotMeasurableError, match="fvd_set is a measure of a set of clips, not of one"):
        fvd_set.measure(short)
    with pytest.raises(NotMeasurableError, match="fvd_set needs two windows of 16 restored frames"):
        fvd_set.distance(np.zeros((1, 400)), np.zeros((5, 400)))
    with pytest.raises(NotMeasurableError, match="fvd_set needs two windows of 16 true frames"):
        fvd_set.distance(np.zeros((5, 400)), np.zeros((1, 400)))
