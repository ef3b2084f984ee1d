"""The tiny autoencoder against its layers applied one by one."""

import pytest
import torch

from vividface.models import tiny_autoencoder as module
from vividface.models.checkpoints import load_autoencoder


@pytest.fixture
def frames():
    return torch.rand(2, 3, 9, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


def one_by_one(layers, frames):
    """The layers applied frame by frame, (C, H, W) each, every block with its own memory: slow and plain."""
    for layer in layers:
        kind = type(layer).__name__
        if kind == "_MemoryBlock":
            past = [torch.zeros_like(frames[0]), *frames[:-1]]
            both = zip(frames, past, strict=True)
            frames = [torch.relu(layer.conv(torch.cat([x, p])[None])[0] + x) for x, p in both]
        elif kind == "_TimePool":
            groups = [frames[i : i + layer.stride] for i in range(0, len(frames), layer.stride)]
            frames = [layer.conv(torch.cat(group)[None])[0] for group in groups]
        elif kind == "_TimeGrow":
            frames = [part for x in frames for part in layer.conv(x[None])[0].split(x.shape[0])]
        else:
            frames = [layer(x[None])[0] for x in frames]
    return frames


@pytest.mark.parametrize("chunk", [1, 4])
def test_it_is_what_the_published_layers_say(chunk, tiny_autoencoder, frames, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    with torch.inference_mode():
        latents = tiny_autoencoder.encode_video(frames)
        decoded = tiny_autoencoder.decode_video(latents)
        assert latents.shape == (2, 16, 3, 2, 3)
        assert decoded.shape == frames.shape
        for index in range(2):
            pixels = [(frame + 1) / 2 for frame in frames[index].unbind(1)]
            expected = one_by_one(tiny_autoencoder.encoder, [*pixels, *[pixels[-1]] * 3])
            assert torch.allclose(latents[index], torch.stack(expected, 1), atol=1e-5)
            restored = one_by_one(tiny_autoencoder.decoder, list(latents[index].unbind(1)))
            assert torch.allclose(decoded[index], torch.stack(restored[3:], 1) * 2 - 1, atol=1e-5)


def test_it_is_loaded_as_any_autoencoder(tiny_autoencoder, tmp_path, frames):
    tiny_autoencoder.save_pretrained(tmp_path)
    loaded = load_autoencoder(tmp_path)
    assert loaded.fingerprint == tiny_autoencoder.fingerprint
    assert torch.equal(loaded.encode_video(frames), tiny_autoencoder.encode_video(frames))
    with pytest.raises(ValueError, match="do not fit"):
        loaded.encode_video(frames[:, :, :8])
