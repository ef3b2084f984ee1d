"""DISTS as a loss, with weights from the cache."""

import pytest
import torch

from vividface.errors import InputError, MissingWeightsError
from vividface.models.perceptual import load_dists
from vividface.weights.cache import fetch_groups


@pytest.fixture(scope="module")
def dists():
    try:
        fetch_groups(["dists"])
    except InputError as error:
        pytest.skip(f"the weights of DISTS are not to be had here: {error}")
    return load_dists()


def test_gradients_reach_the_image_and_not_the_network(dists):
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(1, 3, 64, 64, generator=generator)
    image = (target + 0.1 * torch.randn(target.shape, generator=generator)).requires_grad_()
    distance = dists(image, target)
    assert distance.shape == (1, 1)
    distance.sum().backward()
    assert image.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in dists.parameters())
    step = (image - 0.5 * image.grad).detach()
    assert dists(step, target) < distance, "the gradient points uphill"


def test_equal_images_have_no_distance(dists):
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert dists(image, image).abs().max() < 1e-5


def test_missing_weights_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="run `vividface weights fetch vgg16_features`"):
        load_dists()
