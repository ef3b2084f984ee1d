"""Gradient checkpointing of Wan's decoder, block by block, with the causal caches passed in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanResample, WanResidualBlock
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def checkpointed_blocks(decoder: Any) -> Iterator[None]:
    """Have the forward pass of diffusers' Wan decoder keep only what enters its blocks, while this is open.

    What a block computes is computed again in the backward pass, one block of one latent frame at a time.
    Diffusers' blocks keep the last frames that they saw in a list that all latent frames share, so that a
    recomputation would see those of a later frame, and leave its own there with their graph. Here each call
    of a block has its own list, made of the caches that it was given.

    Args:
        decoder: decoder of diffusers' `AutoencoderKLWan`.
    """
    blocks = [part for part in decoder.modules() if isinstance(part, (WanResidualBlock, WanResample))]
    # The norm at the end is as large as a block; the attention, at an eighth of the side, is not.
    blocks.append(decoder.norm_out)
    for block in blocks:
        block.forward = partial(_checkpointed, block.forward, _num_caches(block))
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def _num_caches(block: nn.Module) -> int:
    """The number of a block's convolutions that look back in time, each of which has a cache."""
    return sum(isinstance(part, WanCausalConv3d) and part.kernel_size[0] > 1 for part in block.modules())


def _checkpointed(
    forward: Callable[..., Tensor],
    num_caches: int,
    /,
    x: Tensor,
    *,
    feat_cache: list[Any] | None = None,
    feat_idx: list[int] | None = None,
) -> Tensor:
    """A block's forward pass, of diffusers' signature, checkpointed.

    Args:
        forward: forward pass of the block.
        num_caches: number of caches that the block uses.
        x: input of the block.
        feat_cache: caches of the whole decoder, in the order of its convolutions; the block's are replaced.
        feat_idx: index of the block's first cache; it is moved behind the last.
    """
    if feat_cache is None or feat_idx is None:
        output: Tensor = checkpoint(forward, x, use_reentrant=False)
        return output

    def compute(x: Tensor, *caches: Any) -> tuple[Any, ...]:
        own = [_let_go(cache) for cache in caches]
        return forward(x, feat_cache=own, feat_idx=[0]), *own

    place = slice(feat_idx[0], feat_idx[0] + num_caches)
    output, *feat_cache[place] = checkpoint(compute, x, *feat_cache[place], use_reentrant=False)
    feat_idx[0] = place.stop
    return output


def _let_go(cache: Any) -> Any:
    """A cache whose gradient is a copy; by itself it is a part of a larger one, which would stay for it."""
    if not (isinstance(cache, Tensor) and cache.requires_grad):
        return cache
    cache = cache.view_as(cache)
    cache.register_hook(torch.clone)
    return cache
