"""Attention among few tokens on a CPU, head by head, whose weights then stay in the processor's cache.

Torch's kernel multiplies by MKL (`vividface.models.products`), and slowly in bfloat16. Logits and softmax are
of float32 in either type, as there.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vividface.models.products import mkl_is_slow, multiply_by_onednn


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention of tokens (B, N, heads, D), float32 or bfloat16, on a CPU, differentiable.

    Args:
        query: queries.
        key: keys.
        value: values.
        bias: number that is added to the logits, (W, N, N) float32, without gradient, for every W windows
            of the B.

    Returns:
        (B, N, heads, D).
    """
    attended: Tensor = _Attention.apply(bias, query, key, value)
    return attended


def attends_faster(tokens: Tensor) -> bool:
    """Whether `attend` is faster than torch with tokens of this type and on this device."""
    return tokens.device.type == "cpu" and tokens.dtype in {torch.float32, torch.bfloat16} and mkl_is_slow()


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bias: Tensor | None, *tokens: Tensor) -> Tensor:
        query, key, value = map(_by_head, tokens)
        scaled, keys = query.float() * query.shape[-1] ** -0.5, key.float()
        attended = torch.empty_like(query)
        batch, heads, length, _ = query.shape
        weights = value.new_empty(batch, heads, length, length) if any(ctx.needs_input_grad) else None
        for b, h in product(range(batch), range(heads)):
            logits = multiply_by_onednn(scaled[b, h], keys[b, h])
            if bias is not None:
                logits += bias[b % len(bias)]
            shares = torch.softmax(logits, dim=-1).to(value.dtype)
            attended[b, h] = _times(shares, value[b, h])
            if weights is not None:
                weights[b, h] = shares
        if weights is not None:
            ctx.save_for_backward(query, key, value, weights)
        return attended.transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        gradient = _by_head(gradient)
        full, values, scale = gradient.float(), value.float(), query.shape[-1] ** -0.5
        gradients = [torch.empty_like(query) for _ in range(3)]
        for b, h in product(range(query.shape[0]), range(query.shape[1])):
            shares = weights[b, h]
            of_shares = multiply_by_onednn(full[b, h], values[b, h])
            of_logits = torch._softmax_backward_data(of_shares, shares.float(), -1, torch.float32)
            of_logits = of_logits.mul_(scale).to(query.dtype)
            gradients[0][b, h] = _times(of_logits, key[b, h])
            gradients[1][b, h] = _times(of_logits.t(), query[b, h])
            gradients[2][b, h] = _times(shares.t(), gradient[b, h])
        return None, *(tokens.transpose(1, 2) for tokens in gradients)


def _by_head(tokens: Tensor) -> Tensor:
    """(B, N, heads, D) to (B, heads, N, D), in that order in memory."""
    return tokens.transpose(1, 2).contiguous()


def _times(one: Tensor, other: Tensor) -> Tensor:
    """The product of two matrices, which torch computes by oneDNN where they are of bfloat16."""
    return multiply_by_onednn(one, other.t()) if one.dtype == torch.float32 else one @ other
