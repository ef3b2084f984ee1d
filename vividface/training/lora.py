"""Low-rank adapters (LoRA, Hu et al., ICLR 2022), through peft."""

from __future__ import annotations

import torch

from vividface.models.transformer import OneStepTransformer

# Attention, feed-forward and output layers.
_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2", "proj_out"]


def add_adapters(transformer: OneStepTransformer, *, rank: int, seed: int) -> None:
    """Freeze a transformer and give its linear layers trainable adapters, which change nothing yet.

    Args:
        transformer: transformer to change.
        rank: rank of the adapters.
        seed: seed of their initial weights.
    """
    from peft import LoraConfig

    transformer.requires_grad_(requires_grad=False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=_TARGETS))


def merge_adapters(transformer: OneStepTransformer) -> None:
    """Add a transformer's adapters to its weights, and remove them."""
    transformer.fuse_lora()
    transformer.unload_lora()
