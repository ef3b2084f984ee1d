"""The paper's model: its size, its parts at a smaller one, and its prompt."""

import pytest
import torch
from diffusers import WanTransformer3DModel

from vividface.models.presets import random_model
from vividface.models.transformer import OneStepTransformer


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_preset_has_the_published_sizes():
    with torch.device("meta"):
        transformer, autoencoder = random_model("wan-1.3b")
    assert parameters(transformer) == 1_418_996_800, "1.4190 G as diffusers counts it"
    assert round(parameters(autoencoder) / 1e6, 2) == 126.89
    assert transformer.config.in_channels == autoencoder.latent_channels == 16
    assert (transformer.config.clip_frames, transformer.config.clip_size) == (81, 512)
    assert (transformer.config.prompt_repeats, transformer.prompt.shape) == ((1, 511), (2, 4096))


def test_a_reduced_copy_runs_from_frames_to_frames(wan_transformer, wan_autoencoder):
    frames = torch.rand(1, 3, 9, 32, 48) * 2 - 1
    with torch.inference_mode():
        latents = wan_autoencoder.encode_video(frames)
        restored = wan_autoencoder.decode_video(wan_transformer.restore(latents))
    assert latents.shape == (1, 16, 3, 4, 6)
    assert restored.shape == frames.shape
    assert restored.isfinite().all()


def test_the_folded_prompt_is_the_whole_prompt(wan_transformer):
    """The 512 tokens through diffusers' own transformer give the same as the two distinct ones."""
    plain = WanTransformer3DModel.from_config(wan_transformer.config)
    weights = {key: value for key, value in wan_transformer.state_dict().items() if key != "prompt"}
    plain.load_state_dict(weights)
    latents = torch.randn(2, 16, 2, 4, 6)
    prompt = torch.cat([wan_transformer.prompt[:1], wan_transformer.prompt[1:].expand(511, -1)])
    assert wan_transformer.config.prompt_repeats == [1, 511]
    with torch.inference_mode():
        expected = latents - plain.eval()(latents, torch.full((2,), 400.0), prompt.expand(2, -1, -1)).sample
        assert (wan_transformer.restore(latents) - expected).abs().max() < 1e-5
        wan_transformer.set_prompt(prompt[:1])
        assert (wan_transformer.restore(latents) - expected).abs().max() > 1e-4, "the padding counts"


def test_gradients_are_those_of_the_whole_prompt(wan_transformer):
    plain = WanTransformer3DModel.from_config(wan_transformer.config)
    plain.load_state_dict(
        {key: value for key, value in wan_transformer.state_dict().items() if key != "prompt"}
    )
    latents = torch.randn(1, 16, 2, 4, 4)
    prompt = torch.cat([wan_transformer.prompt[:1], wan_transformer.prompt[1:].expand(511, -1)])
    (latents - plain(latents, torch.tensor([400.0]), prompt[None]).sample).square().mean().backward()
    wan_transformer.restore(latents).square().mean().backward()
    for name, parameter in plain.named_parameters():
        ours = wan_transformer.get_parameter(name)
        assert torch.allclose(ours.grad, parameter.grad, atol=1e-6), name


def test_a_transformer_without_a_prompt_says_so():
    transformer = OneStepTransformer(
        num_attention_heads=1, text_dim=8, freq_dim=8, ffn_dim=16, num_layers=1, prompt_repeats=None
    )
    with pytest.raises(ValueError, match="holds no prompt embedding"):
        transformer.restore(torch.zeros(1, 16, 1, 2, 2))
    with pytest.raises(ValueError, match="the prompt is \\(512, 9\\), not \\(tokens, 8\\)"):
        transformer.set_prompt(torch.zeros(512, 9))


def test_bfloat16_is_close(wan_transformer, tmp_path):
    wan_transformer.save_pretrained(tmp_path)
    half = OneStepTransformer.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    latents = torch.randn(1, 16, 2, 4, 4)
    with torch.inference_mode():
        expected = wan_transformer.restore(latents)
        restored = half.restore(latents.bfloat16())
    assert restored.dtype == torch.bfloat16
    assert (restored.float() - expected).abs().mean() < 0.02 * expected.abs().mean()
    assert half.blocks[0].scale_shift_table.dtype == torch.float32, "as Wan keeps it"
