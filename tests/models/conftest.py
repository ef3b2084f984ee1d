"""Small models of Wan's architecture with random weights."""

import pytest
import torch

from vividface.models.autoencoders import WanAutoencoder
from vividface.models.tiny_autoencoder import TinyWanAutoencoder
from vividface.models.transformer import OneStepTransformer

SMALL_WAN = {"num_attention_heads": 1, "text_dim": 24, "freq_dim": 16, "ffn_dim": 48, "num_layers": 2}


@pytest.fixture
def wan_transformer():
    """Wan's transformer, reduced in width and depth, with a prompt."""
    torch.manual_seed(0)
    transformer = OneStepTransformer(**SMALL_WAN, prediction="wan").eval()
    prompt = torch.zeros(512, 24)
    prompt[0] = torch.randn(24)
    transformer.set_prompt(prompt)
    return transformer


@pytest.fixture
def wan_autoencoder():
    torch.manual_seed(1)
    return WanAutoencoder(base_dim=4).eval()


@pytest.fixture
def tiny_autoencoder():
    torch.manual_seed(2)
    return TinyWanAutoencoder().eval()
