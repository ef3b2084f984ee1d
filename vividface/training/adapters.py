"""Low-rank adapters (LoRA, Hu et al., ICLR 2022), through peft."""

from __future__ import annotations

import torch
from peft import LoraConfig

from vividface.models.transformer import OneStepTransformer

# Attention, feed-forward and output layers.
_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2", "proj_out"]


def add_adapters(transformer: OneStepTransformer, rank: int, seed: int) -> None:
    """Freeze the transformer and give its linear layers trainable adapters, which change nothing yet."""
    transformer.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=_TARGETS))


def merged(transformer: OneStepTransformer) -> OneStepTransformer:
    """The transformer with its adapters, if it has any, added to its weights."""
    if getattr(transformer, "peft_config", None):
        transformer.fuse_lora()
        transformer.unload_lora()
    return transformer
