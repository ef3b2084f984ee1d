"""The one-step transformer at the size of `nano`, and its checkpoints."""

import copy

import pytest
import torch

from vividface.config import ModelConfig
from vividface.errors import InputError
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.checkpoints import (
    build_autoencoder,
    build_transformer,
    load_checkpoint,
    save_checkpoint,
)
from vividface.models.presets import NANO
from vividface.models.transformer import OneStepTransformer

NANO_CONFIG = ModelConfig(preset="nano", prediction="velocity", timestep=400)


@pytest.fixture
def latents():
    return torch.randn(1, 768, 2, 4, 4, generator=torch.Generator().manual_seed(0))


def small(prediction="velocity"):
    torch.manual_seed(0)
    settings = NANO | {"num_layers": 1, "ffn_dim": 64}
    return OneStepTransformer(**settings, prediction=prediction).eval()


def test_untrained_nano_is_the_identity(latents):
    transformer = build_transformer(NANO_CONFIG, seed=1).eval()
    with torch.no_grad():
        assert torch.equal(transformer.restore(latents), latents)
    parameters = sum(p.numel() for p in transformer.parameters())
    assert 9e6 < parameters < 10e6


def windowed(window):
    torch.manual_seed(0)
    shape = {"num_layers": 2, "ffn_dim": 64, "attention_window": window, "patch_size": (1, 1, 1)}
    return OneStepTransformer(**(NANO | shape)).eval()


def test_windows_that_hold_the_whole_frame_change_nothing(latents):
    all_tokens, window = windowed(None), windowed(4)
    with torch.no_grad():
        assert torch.allclose(window.restore(latents), all_tokens.restore(latents), atol=1e-5)


@pytest.mark.parametrize("side", [8, 6, 11])
def test_a_token_sees_its_windows_alone_and_they_are_shifted_in_the_next_layer(side):
    transformer = windowed(4)
    latents = torch.randn(1, 768, 2, side, side, generator=torch.Generator().manual_seed(0))
    changed = latents.clone()
    changed[..., 0, 0] += 1
    with torch.no_grad():
        difference = (transformer.restore(changed) - transformer.restore(latents)).abs().amax(dim=(0, 1))
    seen = (difference > 0).all(dim=0)
    # Its window of the first layer, and those of the second, shifted by two, that touch it.
    expected = torch.zeros(side, side, dtype=torch.bool)
    expected[: min(6, side), : min(6, side)] = True
    assert torch.equal(seen, expected)


def test_each_sample_of_a_batch_is_restored_as_alone():
    transformer = windowed(4)
    latents = torch.randn(3, 768, 2, 6, 10, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = transformer.restore(latents)
        alone = torch.cat([transformer.restore(sample[None]) for sample in latents])
    assert torch.allclose(together, alone, atol=1e-5)


def test_weights_that_change_no_result_are_frozen(latents):
    transformer = small()
    transformer.freeze_unused()
    transformer.restore(latents).sum().backward()
    trained = {name for name, p in transformer.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in transformer.named_parameters() if p.grad is not None}
    assert len(trained) < len(dict(transformer.named_parameters()))


def test_nano_starts_from_a_checkpoint(tmp_path, latents):
    transformer = small()
    save_checkpoint(tmp_path / "start", transformer, DCTAutoencoder(decay=0.25))
    config = NANO_CONFIG.model_copy(update={"transformer": tmp_path / "start"})
    started = build_transformer(config, seed=1)
    assert all(p.requires_grad for p in started.parameters())
    with torch.no_grad():
        assert torch.equal(started.eval().restore(latents), transformer.restore(latents))
    assert build_autoencoder(config).fingerprint == DCTAutoencoder(decay=0.25).fingerprint
    other = config.model_copy(update={"timestep": 300.0})
    with pytest.raises(InputError, match=r"model\.timestep: is 300\.0, but .* was trained with 400\.0"):
        build_transformer(other, seed=1)


def test_predictions_of_either_sign_restore_alike(latents):
    velocity, wan = small(), small("wan")
    wan.load_state_dict(copy.deepcopy(velocity.state_dict()))
    with torch.no_grad():
        wan.proj_out.weight.neg_()
        wan.proj_out.bias.neg_()
        assert torch.equal(velocity.restore(latents), wan.restore(latents))
        assert not torch.equal(velocity.restore(latents), latents)


def test_restore_is_equation_three_at_the_fixed_timestep(latents):
    transformer = small()
    with torch.no_grad():
        velocity = transformer(latents, torch.tensor([400.0]), transformer.prompt[None], return_dict=False)[0]
        assert torch.equal(transformer.restore(latents), latents + velocity)


def test_checkpoint_carries_everything(tmp_path, latents):
    transformer = small("wan")
    transformer.register_to_config(timestep=250.0)
    transformer.set_prompt(torch.full((1, 16), 0.5))
    save_checkpoint(tmp_path / "ckpt", transformer, DCTAutoencoder(decay=0.25))
    loaded, autoencoder = load_checkpoint(tmp_path / "ckpt")
    assert (loaded.config.prediction, loaded.config.timestep) == ("wan", 250.0)
    assert autoencoder.config.decay == 0.25
    assert not any(p.requires_grad for p in loaded.parameters())
    with torch.no_grad():
        assert torch.allclose(loaded.restore(latents), transformer.restore(latents), atol=1e-5)
    assert (tmp_path / "ckpt" / "transformer" / "diffusion_pytorch_model.safetensors").is_file()


def test_not_a_checkpoint(tmp_path):
    with pytest.raises(InputError, match="is not a model folder"):
        load_checkpoint(tmp_path)


def test_seed_decides_the_weights():
    a, b, c = (build_transformer(NANO_CONFIG, seed).patch_embedding.weight for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
