"""MUSIQ, CLIP-IQA and CLIP's image encoder with random weights, as their files are published; no network."""

import importlib
import socket
import sys
from types import SimpleNamespace

import numpy as np
import packaging.version
import pytest
import torch
from PIL import Image
from pyiqa.archs.clip_model import CLIP, build_model
from pyiqa.archs.musiq_arch import MUSIQ
from safetensors.torch import save_file

from vividface.errors import InputError, MissingWeightsError
from vividface.models.clip import PROMPTS, ClipImageEncoder, ClipIQA, tokenize
from vividface.models.perceptual import load_musiq

TEXT = {"context_length": 77, "vocab_size": 49408, "transformer_width": 512, "transformer_heads": 8}


@pytest.fixture(scope="module")
def clip_states():
    """The states of CLIP's RN50 and ViT-B/32 by their weights' names; half precision, as OpenAI published."""
    torch.manual_seed(0)
    networks = {
        "clip_rn50": CLIP(1024, 224, (3, 4, 6, 3), 64, None, **TEXT, transformer_layers=12),
        "clip_vit_b32": CLIP(512, 224, 12, 768, 32, **TEXT, transformer_layers=12),
    }
    for name, parameter in networks["clip_rn50"].named_parameters():
        if name.endswith("bn3.weight"):
            parameter.data.fill_(0.5)  # zero at first, so that the blocks would do nothing
    networks["clip_rn50"].logit_scale.data.fill_(5)  # or the scores of all images would be nearly equal
    return {
        name: {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
        for name, state in ((name, network.state_dict()) for name, network in networks.items())
    }


@pytest.fixture(scope="module")
def filled_cache(clip_states, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache") / "weights"
    folder.mkdir()
    for name, state in clip_states.items():
        save_file({key: value.contiguous() for key, value in state.items()}, folder / f"{name}.safetensors")
    torch.manual_seed(0)
    torch.save(MUSIQ(pretrained=False).state_dict(), folder / "musiq.pth")
    yield folder.parent
    for path in folder.iterdir():  # half a gigabyte
        path.unlink()


@pytest.fixture
def cache(filled_cache, monkeypatch):
    """The cache, where any use of the network fails."""

    def refuse(*arguments):
        raise AssertionError("the network is used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("VIVIDFACE_CACHE", str(filled_cache))
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    return filled_cache / "weights"


@pytest.fixture
def openai_clip(monkeypatch):
    """OpenAI's package, which asks setuptools for a module that it no longer has."""
    monkeypatch.setitem(sys.modules, "pkg_resources", SimpleNamespace(packaging=packaging))
    return importlib.import_module("clip")


def images(count=2, height=96, width=128):
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, height // 8, width // 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


@torch.inference_mode()
def test_clip_iqa_equals_pyiqas(cache, clip_states, openai_clip, monkeypatch):
    from pyiqa.archs import clipiqa_arch

    state = dict(clip_states["clip_rn50"])
    monkeypatch.setattr(clipiqa_arch, "load", lambda *arguments: build_model(state).float())
    pair = torch.cat([images(1), 0.1 * images(1).flip(1)])
    expected = clipiqa_arch.CLIPIQA().eval()(pair)
    scores = ClipIQA().eval()(pair)
    assert scores.shape == (2,)
    torch.testing.assert_close(scores, expected.flatten(), atol=2e-5, rtol=0)
    assert (scores[0] - scores[1]).abs() > 1e-3


def test_the_prompts_are_pyiqas(openai_clip):
    from pyiqa.archs import clipiqa_arch

    expected = [
        *("Good image", "bad image", "Sharp image", "blurry image", "sharp edges", "blurry edges"),
        *("High resolution image", "low resolution image", "Noise-free image", "noisy image"),
    ]
    assert torch.equal(tokenize(PROMPTS), clipiqa_arch.clip.tokenize(expected))


@torch.inference_mode()
def test_clips_image_encoder_equals_openais(cache, clip_states, openai_clip):
    from clip.clip import _transform
    from clip.model import build_model as build_openais

    openais = build_openais(dict(clip_states["clip_vit_b32"])).float()
    frames = (images(2, 256, 320) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    prepared = torch.stack([_transform(224)(Image.fromarray(frame)) for frame in frames])
    expected = openais.encode_image(prepared)
    expected = expected / expected.norm(dim=1, keepdim=True)
    features = ClipImageEncoder()(torch.from_numpy(frames).permute(0, 3, 1, 2) / 255)
    assert features.shape == (2, 512)
    cosines = (features * expected).sum(dim=1)
    assert cosines.min() > 0.9999
    assert (features[0] @ expected[1]) < cosines.min() - 0.001


@torch.inference_mode()
def test_musiq_equals_pyiqas(cache):
    expected = MUSIQ(pretrained_model_path=str(cache / "musiq.pth")).eval()
    scores = load_musiq()(images(3, 160, 224))
    assert scores.shape == (3, 1)
    for image, score in zip(images(3, 160, 224), scores, strict=True):
        torch.testing.assert_close(expected(image[None])[0], score, atol=1e-5, rtol=0)
    assert scores.std() > 1e-4


def test_missing_weights_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    for build, name in ((load_musiq, "musiq"), (ClipIQA, "clip_rn50"), (ClipImageEncoder, "clip_vit_b32")):
        with pytest.raises(MissingWeightsError, match=f"run `vividface weights fetch {name}`"):
            build()


def test_files_of_other_networks_are_refused(monkeypatch, tmp_path, clip_states):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    state = clip_states["clip_vit_b32"]
    lacking = {key: value for key, value in state.items() if key != "visual.proj"}
    save_file(lacking, tmp_path / "weights" / "clip_vit_b32.safetensors")
    torch.save({"params": MUSIQ(pretrained=False).state_dict()}, tmp_path / "weights" / "musiq.pth")
    (tmp_path / "weights" / "clip_rn50.safetensors").write_bytes(b"not tensors")
    for build, name in ((load_musiq, "musiq"), (ClipIQA, "clip_rn50"), (ClipImageEncoder, "clip_vit_b32")):
        with pytest.raises(InputError, match=rf"does not hold the weights of {name} \(.*fetch it again"):
            build()


def test_weights_that_would_run_code_are_refused(monkeypatch, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (np.save, (str(tmp_path / "harm.npy"), [1]))

    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    torch.save({"weight": Harmful()}, tmp_path / "weights" / "musiq.pth")
    with pytest.raises(InputError, match="does not hold the weights of musiq"):
        load_musiq()
    assert not (tmp_path / "harm.npy").exists()
