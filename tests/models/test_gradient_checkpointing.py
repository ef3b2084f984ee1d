"""Decoding with checkpoints: the same gradients, and nothing that stays behind."""

import weakref

import pytest
import torch

from vividface.models.autoencoders import DCTAutoencoder


@pytest.fixture(params=["wan", "tiny", "dct"])
def autoencoder(request):
    if request.param == "dct":
        return DCTAutoencoder(lapped=True)
    model = request.getfixturevalue(f"{request.param}_autoencoder")
    return model.requires_grad_(requires_grad=False)


def latents_for(autoencoder, num_latent_frames):
    generator = torch.Generator().manual_seed(num_latent_frames)
    latents = torch.randn(2, autoencoder.latent_channels, num_latent_frames, 4, 6, generator=generator)
    return latents.requires_grad_()


def decode_and_differentiate(autoencoder, num_latent_frames, *, checkpointed):
    """Frames, and gradients of a sum whose terms have different weights."""
    latents = latents_for(autoencoder, num_latent_frames)
    frames = autoencoder.decode_video(latents, checkpointed=checkpointed)
    weights = torch.randn(frames.shape, generator=torch.Generator().manual_seed(0))
    (frames * weights).sum().backward()
    return frames.detach(), latents.grad


@pytest.mark.parametrize("num_latent_frames", [1, 2, 5])
def test_frames_and_gradients_have_the_same_bits(autoencoder, num_latent_frames):
    frames, gradient = decode_and_differentiate(autoencoder, num_latent_frames, checkpointed=False)
    again, recomputed = decode_and_differentiate(autoencoder, num_latent_frames, checkpointed=True)
    assert frames.shape == (2, 3, 1 + 4 * (num_latent_frames - 1), 32, 48)
    assert torch.equal(again, frames)
    assert torch.equal(recomputed, gradient)
    assert gradient.abs().amax((1, 3, 4)).all(), "every latent frame has a gradient"


@pytest.mark.parametrize("checkpointed", [False, True])
def test_no_cache_nor_what_was_decoded_is_left(wan_autoencoder, checkpointed):
    blocks = [wan_autoencoder.decoder.mid_block, *wan_autoencoder.decoder.up_blocks]
    outputs = []

    def watch(_block, _inputs, output):
        outputs.append(weakref.ref(output.untyped_storage()))

    for block in blocks:
        block.register_forward_hook(watch)
    frames = wan_autoencoder.decode_video(latents_for(wan_autoencoder, 3), checkpointed=checkpointed)
    assert wan_autoencoder._feat_map == [None] * len(wan_autoencoder._feat_map)
    assert len(outputs) == 3 * len(blocks)
    assert any(output() is not None for output in outputs), "the frames hold their graph"
    frames.sum().backward()
    assert wan_autoencoder._feat_map == [None] * len(wan_autoencoder._feat_map)
    del frames
    assert all(output() is None for output in outputs)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_decode_that_fails_leaves_no_cache_and_the_blocks_as_they_were(wan_autoencoder, checkpointed):
    expected = decode_and_differentiate(wan_autoencoder, 2, checkpointed=False)
    calls = []

    def fail(*_):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")

    handle = wan_autoencoder.decoder.up_blocks[1].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        wan_autoencoder.decode_video(latents_for(wan_autoencoder, 2), checkpointed=checkpointed)
    handle.remove()
    assert wan_autoencoder._feat_map == [None] * len(wan_autoencoder._feat_map)
    assert not any("forward" in vars(module) for module in wan_autoencoder.modules())
    again = decode_and_differentiate(wan_autoencoder, 2, checkpointed=False)
    assert all(map(torch.equal, again, expected))


def test_an_encoding_that_fails_leaves_no_cache(wan_autoencoder):
    wan_autoencoder.quant_conv.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        wan_autoencoder.encode_video(torch.zeros(1, 3, 5, 16, 16))
    assert wan_autoencoder._enc_feat_map == [None] * len(wan_autoencoder._enc_feat_map)


def test_gradients_of_two_clips_can_be_computed_in_any_order(wan_autoencoder):
    """The backward pass of one recomputes after the other was decoded."""
    _, expected = decode_and_differentiate(wan_autoencoder, 3, checkpointed=False)
    first, second = latents_for(wan_autoencoder, 3), latents_for(wan_autoencoder, 2)
    frames = [wan_autoencoder.decode_video(latents, checkpointed=True) for latents in (first, second)]
    weights = torch.randn(frames[0].shape, generator=torch.Generator().manual_seed(0))
    frames[1].sum().backward()
    (frames[0] * weights).sum().backward()
    assert torch.equal(first.grad, expected)
