"""The autoencoder's own layers against diffusers', and the order of their values in memory."""

import copy

import pytest
import torch
from torch import nn

from vividface.models.wan_layers import ChannelNorm, use_fast_layers

FORMATS = {5: torch.channels_last_3d, 4: torch.channels_last}


@pytest.fixture
def frames():
    return torch.rand(1, 3, 9, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_they_give_what_diffusers_gives(wan_autoencoder, frames):
    fast = copy.deepcopy(wan_autoencoder)
    use_fast_layers(fast)
    assert fast.state_dict().keys() == wan_autoencoder.state_dict().keys()
    assert {type(module).__name__ for module in fast.modules()}.isdisjoint(
        {"WanRMS_norm", "WanCausalConv3d", "WanUpsample"}
    )
    with torch.inference_mode():
        latents = wan_autoencoder.encode_video(frames)
        assert torch.allclose(fast.encode_video(frames), latents, atol=1e-5)
        decoded = wan_autoencoder.decode_video(latents)
        assert decoded.std() > 0.01, "a decoder that says nothing proves nothing"
        assert torch.allclose(fast.decode_video(latents), decoded, atol=1e-5)


def test_gradients_are_diffusers(wan_autoencoder):
    fast = copy.deepcopy(wan_autoencoder)
    use_fast_layers(fast)
    gradients = []
    for model in (wan_autoencoder, fast):
        latents = torch.randn(1, 16, 2, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
        model.decode_video(latents).square().mean().backward()
        gradients.append(latents.grad)
    assert gradients[0].abs().max() > 0
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-6 * float(gradients[0].abs().max()) + 1e-9)


def test_a_pixel_of_zeros_stays_zero(wan_autoencoder):
    norm = ChannelNorm(wan_autoencoder.decoder.norm_out)
    for dtype in (torch.float32, torch.bfloat16):
        assert not norm.to(dtype)(torch.zeros(1, 4, 1, 2, 2, dtype=dtype)).any()


def test_channels_stay_last_where_a_convolution_has_put_them(wan_autoencoder, frames, monkeypatch):
    """On a GPU a convolution whose weights are channels last gives its result so; no layer undoes it."""
    wan_autoencoder.to_channels_last()
    use_fast_layers(wan_autoencoder)
    for kind, dims in ((nn.functional.conv3d, 5), (nn.Conv2d._conv_forward, 4)):
        owner = nn.functional if dims == 5 else nn.Conv2d

        def as_on_a_gpu(*arguments, kind=kind, dims=dims):
            return kind(*arguments).contiguous(memory_format=FORMATS[dims])

        monkeypatch.setattr(owner, kind.__name__, as_on_a_gpu)
    moved = []
    for name, module in wan_autoencoder.named_modules():
        # The first layers are given the frames as they come, resampling rearranges frames.
        if isinstance(module, (ChannelNorm, nn.SiLU, nn.Conv3d)):
            module.register_forward_pre_hook(
                lambda _, inputs, name=name: (
                    moved.append(name)
                    if not inputs[0].is_contiguous(memory_format=FORMATS[inputs[0].ndim])
                    else None
                )
            )
    with torch.inference_mode():
        wan_autoencoder.decode_video(wan_autoencoder.encode_video(frames))
    assert set(moved) <= {
        "encoder.conv_in",
        "encoder.down_blocks.5.time_conv",
        "encoder.down_blocks.8.time_conv",
    }
