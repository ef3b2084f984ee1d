"""MobileFaceNet, written out anew, and on real faces."""

import shutil

import numpy as np
import pytest
import torch
from torch.nn import functional

from vividface.config import FacesConfig
from vividface.errors import InputError, MissingWeightsError
from vividface.evaluation.metrics.features import FaceReader
from vividface.faces.mobilefacenet import MobileFaceNet, MobileFaceNetIdentity
from vividface.files import sha256
from vividface.video import read_clip
from vividface.weights.catalogue import CATALOGUE


def written_out(state, x):
    """The network from its tensors alone."""

    def convolution(x, name, **options):
        return functional.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **options)

    def norm(x, name):
        numbers = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *numbers)

    def block(x, name, stride):
        groups = len(state[f"{name}.1.0.weight"])
        hidden = functional.relu6(norm(convolution(x, f"{name}.0.0"), f"{name}.0.1"))
        hidden = convolution(hidden, f"{name}.1.0", stride=stride, padding=1, groups=groups)
        hidden = functional.relu6(norm(hidden, f"{name}.1.1"))
        hidden = norm(convolution(hidden, f"{name}.2"), f"{name}.3")
        return hidden + x if hidden.shape == x.shape else hidden

    x = functional.relu6(norm(convolution(x, "conv1.0", stride=2, padding=1), "conv1.1"))
    x = functional.relu(norm(convolution(x, "dw_conv.depthwise", padding=1, groups=64), "dw_conv.bn1"))
    x = functional.relu(norm(convolution(x, "dw_conv.pointwise"), "dw_conv.bn2"))
    for index in range(15):
        x = block(x, f"features.{index}.conv", 2 if index in (0, 5, 12) else 1)
    x = functional.relu6(norm(convolution(x, "conv2.0"), "conv2.1"))
    x = norm(convolution(x, "gdconv.depthwise", groups=512), "gdconv.bn")
    return norm(convolution(x, "conv3"), "bn").flatten(1)


@torch.inference_mode()
def test_network_equals_its_definition():
    torch.manual_seed(0)
    network = MobileFaceNet().train()
    network(torch.randn(8, 3, 112, 112))  # gives the normalisations statistics of their own
    network.eval()
    faces = torch.randn(2, 3, 112, 112)
    torch.testing.assert_close(network(faces), written_out(network.state_dict(), faces))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache with MobileFaceNet of random weights."""
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    torch.manual_seed(0)
    torch.save(MobileFaceNet().state_dict(), tmp_path / "weights" / "mobilefacenet.pt")
    return tmp_path / "weights" / "mobilefacenet.pt"


def test_missing_and_wrong_weights_are_named(cache):
    torch.save({"weight": torch.zeros(1)}, cache)
    with pytest.raises(InputError, match=r"mobilefacenet\.pt: does not hold the weights of mobilefacenet"):
        MobileFaceNetIdentity()
    cache.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"mobilefacenet\.pt: does not hold the weights of mobilefacenet"):
        MobileFaceNetIdentity()
    cache.unlink()
    with pytest.raises(MissingWeightsError, match="run `vividface weights fetch mobilefacenet`"):
        MobileFaceNetIdentity()


@pytest.mark.parametrize("backend", ["mediapipe", "dlib"])
def test_people_are_told_apart(shared, cache, backend):
    weights = shared / "weights" / "mobilefacenet.pt"
    assert CATALOGUE["mobilefacenet"].source.sha256 == sha256(weights)
    shutil.copyfile(weights, cache)
    reader = FaceReader(FacesConfig.of_backend(backend))
    people = []
    for name in ("liveportrait_d0", "liveportrait_d9", "liveportrait_d18"):
        frames = read_clip(shared / "faces" / "eval" / f"{name}.mp4", 0, 41)[::20]
        features = reader.read(frames, ["identity_mobilefacenet"]).features["identity_mobilefacenet"]
        assert features.shape == (3, 128)
        np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
        assert (features @ features.T).min() > 0.6
        people.append(features)
    for index, one in enumerate(people):
        for other in people[index + 1 :]:
            assert (one @ other.T).max() < 0.3
