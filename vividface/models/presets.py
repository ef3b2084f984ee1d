"""The shapes of the models: `nano` and `wan-1.3b`."""

from __future__ import annotations

from typing import Any

import torch

from vividface.config.model import NanoConfig
from vividface.models.autoencoders import DCTAutoencoder, WanAutoencoder
from vividface.models.base import Autoencoder, freeze
from vividface.models.transformer import OneStepTransformer
from vividface.models.wan_layers import use_fast_layers


def nano_settings(shape: NanoConfig) -> dict[str, Any]:
    """The arguments of `OneStepTransformer` for a nano model.

    Args:
        shape: shape of the model, as the configuration's `model.nano` has it.
    """
    return {
        "patch_size": (1, shape.patch_size, shape.patch_size),
        "num_attention_heads": shape.width // 64,
        "attention_head_dim": 64,
        "in_channels": 768,
        "out_channels": 768,
        "text_dim": 16,
        "freq_dim": 64,
        "ffn_dim": shape.ffn_dim,
        "num_layers": shape.num_layers,
        "prompt_repeats": [1],
        "clip_frames": 17,
        "clip_size": 256,
        "attention_window": shape.attention_window,
        "keep_detail": shape.keep_detail,
    }


# About 9M parameters: fast enough for a laptop's CPU.
NANO: dict[str, Any] = nano_settings(NanoConfig())
# Wan 2.1 T2V 1.3B: the defaults of `OneStepTransformer` and `WanAutoencoder`.
WAN_1_3B: dict[str, Any] = {}


def random_model(
    preset: str, *, dtype: torch.dtype = torch.float32
) -> tuple[OneStepTransformer, Autoencoder]:
    """A preset's transformer and autoencoder with random weights, frozen: for tests and benchmarks.

    Built on torch's default device; on `meta` neither memory nor time is spent.

    Args:
        preset: `nano` or `wan-1.3b`.
        dtype: type of the weights; those that diffusers keeps in float32 stay so, as when they are loaded.
    """
    transformer = OneStepTransformer(**(NANO if preset == "nano" else WAN_1_3B))
    autoencoder = (
        DCTAutoencoder(decay=0.0, lapped=True) if preset == "nano" else WanAutoencoder().to_channels_last()
    )
    use_fast_layers(autoencoder)
    for model in (transformer, autoencoder):
        kept = set(model._keep_in_fp32_modules or ())
        for name, parameter in model.named_parameters():
            if not kept & set(name.split(".")):
                parameter.data = parameter.data.to(dtype)
    return freeze(transformer), freeze(autoencoder)
