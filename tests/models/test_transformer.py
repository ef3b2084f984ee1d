"""The one-step transformer at the size of `nano`, and its checkpoints."""

import copy

import pytest
import torch

from vividface.config import ModelConfig
from vividface.errors import InputError
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.checkpoints import build_transformer, load_checkpoint, save_checkpoint
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
    assert 5e6 < parameters < 7e6


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
