"""The DCT autoencoder, and Wan's behind the same interface."""

import pytest
import torch

from vividface.models.autoencoders import DCTAutoencoder, WanAutoencoder
from vividface.models.checkpoints import load_autoencoder


@pytest.fixture
def frames():
    return torch.rand(2, 3, 9, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_dct_is_exactly_invertible(frames):
    autoencoder = DCTAutoencoder()
    latents = autoencoder.encode_video(frames)
    assert latents.shape == (2, 768, 3, 4, 6)
    assert (autoencoder.decode_video(latents) - frames).abs().max() < 1e-5


def test_the_lapped_transform_is_exactly_invertible_and_fades_over_the_edges_of_blocks(frames):
    autoencoder = DCTAutoencoder(decay=0, scale=1, lapped=True)
    latents = autoencoder.encode_video(frames)
    assert (autoencoder.decode_video(latents) - frames).abs().max() < 1e-5
    impulse = torch.zeros_like(latents[:1])
    impulse[0, 0, 1, 2, 3] = 1.0
    rows = autoencoder.decode_video(impulse)[0, 0, 2].abs().amax(dim=1)
    assert (rows > 1e-4).nonzero().flatten().tolist() == list(range(12, 28)), "half of either neighbour"
    assert rows[12] < 0.1 * rows.max()
    flat = torch.full_like(frames, 0.5)
    changing = autoencoder.encode_video(flat).reshape(2, 3, 4, 8, 8, 3, 4, 6)
    assert changing[:, :, :, 1:, 1:].abs().max() < 1e-5, "a constant picture has one coefficient"


@pytest.mark.parametrize("lapped", [False, True])
def test_dct_is_orthonormal_without_normalisation(frames, lapped):
    autoencoder = DCTAutoencoder(decay=0, scale=1, lapped=lapped)
    latents = autoencoder.encode_video(frames)
    later = latents[:, :, 1:].square().sum()
    assert torch.isclose(later, frames[:, :, 1:].square().sum(), rtol=1e-5)
    first = latents[:, :, 0].square().sum()
    assert torch.isclose(first, 4 * frames[:, :, 0].square().sum(), rtol=1e-5), "it fills its own group"


def test_dct_is_causal(frames):
    autoencoder = DCTAutoencoder()
    changed = frames.clone()
    changed[:, :, 5:] = 0
    before, after = autoencoder.encode_video(frames), autoencoder.encode_video(changed)
    assert torch.equal(before[:, :, :2], after[:, :, :2])
    assert not torch.equal(before[:, :, 2], after[:, :, 2])


def test_shapes_that_do_not_fit(frames):
    with pytest.raises(ValueError, match="8 frames of 32x48 do not fit"):
        DCTAutoencoder().encode_video(frames[:, :, :8])
    with pytest.raises(ValueError, match="must be"):
        DCTAutoencoder().encode_video(frames[0])


def test_fingerprint_names_the_settings():
    assert DCTAutoencoder().fingerprint == DCTAutoencoder().fingerprint
    assert DCTAutoencoder().fingerprint != DCTAutoencoder(decay=1).fingerprint


def test_the_fingerprint_of_wans_names_its_weights_whatever_their_type_and_layout(wan_autoencoder, tmp_path):
    wan_autoencoder.save_pretrained(tmp_path)
    loaded = load_autoencoder(tmp_path)
    assert loaded.decoder.conv_in.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert loaded.fingerprint == wan_autoencoder.fingerprint
    assert load_autoencoder(tmp_path, dtype=torch.bfloat16).fingerprint == wan_autoencoder.fingerprint
    with torch.no_grad():
        wan_autoencoder.decoder.conv_out.bias[1] += 0.1
    assert WanAutoencoder(base_dim=4).fingerprint != loaded.fingerprint, "other random weights"
    wan_autoencoder.save_pretrained(tmp_path)
    assert load_autoencoder(tmp_path).fingerprint != loaded.fingerprint, "one other bias"


def test_wan_interface_normalises():
    torch.manual_seed(0)
    autoencoder = WanAutoencoder(
        base_dim=8, z_dim=4, latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 2.0, 3.0, 4.0]
    ).eval()
    frames = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    with torch.no_grad():
        latents = autoencoder.encode_video(frames)
        raw = autoencoder.encode(frames).latent_dist.mode()
        restored = autoencoder.decode_video(latents)
    assert latents.shape == (1, 4, 2, 2, 2)
    std = torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1, 1)
    assert torch.allclose(
        latents * std + torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 4, 1, 1, 1), raw, atol=1e-5
    )
    assert restored.shape == frames.shape
