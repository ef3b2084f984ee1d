"""Products of float32 matrices on a CPU by oneDNN instead of MKL, both of which torch carries.

MKL takes AVX2 on processors that are not Intel's, oneDNN what they have: with AVX-512 it is 2.3 times as fast
on an AMD EPYC. The values differ by rounding.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from diffusers.models.activations import GELU
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`, differentiable, by whichever library is faster.

    Args:
        x: (..., K).
        weight: (N, K), in any strides.
        bias: (N,).

    Returns:
        (..., N).
    """
    if x.dtype == weight.dtype == torch.float32 and onednn_is_faster(x):
        return multiply_by_onednn(x, weight, bias)
    return F.linear(x, weight, bias)


def multiply_by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`multiply` of float32 on a CPU, by oneDNN; torch may have been built without it."""
    needs_gradient = any(t is not None and t.requires_grad for t in (x, weight, bias))
    if torch.is_grad_enabled() and needs_gradient:
        product: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), weight, bias)
        return product.view(*x.shape[:-1], len(weight))
    return _product(x, weight, bias)


def use_fast_products(model: nn.Module) -> None:
    """Have the layers of a model multiply matrices by `multiply`; the names of its weights stay."""
    fast = {nn.Linear: FastLinear, nn.Conv3d: FastConv3d, GELU: FastGELU}
    for module in model.modules():
        module.__class__ = fast.get(type(module), type(module))


class FastLinear(nn.Linear):
    """A linear layer that multiplies by `multiply`."""

    def forward(self, input: Tensor) -> Tensor:
        """See `torch.nn.Linear`."""
        return multiply(input, self.weight, self.bias)


class FastConv3d(nn.Conv3d):
    """A convolution that multiplies by `multiply` where its kernel is of one place."""

    def forward(self, input: Tensor) -> Tensor:
        """See `torch.nn.Conv3d`."""
        if set(self.kernel_size + self.stride) != {1} or not onednn_is_faster(input):
            return super().forward(input)
        places = multiply(input.flatten(2).mT, self.weight.flatten(1), self.bias)
        return places.mT.reshape(len(input), -1, *input.shape[2:])


class FastGELU(GELU):
    """A linear layer and its GELU, in one pass where no gradient is wanted."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """See diffusers' `GELU`."""
        weight = self.proj.weight
        known = type(self.proj) is FastLinear and weight.dtype in {torch.float32, torch.bfloat16}
        wants_gradient = torch.is_grad_enabled() and (weight.requires_grad or hidden_states.requires_grad)
        if not known or wants_gradient or hidden_states.dtype != weight.dtype or not onednn_is_faster(weight):
            both: Tensor = super().forward(hidden_states)
            return both
        return _product(hidden_states, weight, self.proj.bias, gelu=self.approximate)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()) if wants[0] else None,
            _product(gradient.t(), x.t()) if wants[1] else None,
            gradient.sum(0) if wants[2] else None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: str = "") -> Tensor:
    behind = "gelu" if gelu else "none"
    product: Tensor = torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight), bias, behind, [], gelu)
    return product


def _dense(matrix: Tensor) -> Tensor:
    """A matrix, or its copy where its numbers do not lie side by side: oneDNN is slow with others."""
    return matrix if matrix.is_contiguous() or matrix.mT.is_contiguous() else matrix.contiguous()


def onednn_is_faster(tensor: Tensor) -> bool:
    """Whether oneDNN should compute with a tensor: it is on a CPU that MKL half uses, without autocast."""
    return tensor.device.type == "cpu" and mkl_is_slow() and not torch.is_autocast_enabled("cpu")


def mkl_is_slow() -> bool:
    """Whether torch has MKL, and the processor AVX-512, which MKL takes on Intel's alone.

    Compiled code never asks: it computes as torch does.
    """
    return not torch.compiler.is_compiling() and _leaves_units_idle()


@cache
def _leaves_units_idle() -> bool:
    has_both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    capabilities = torch.cpu.get_capabilities()
    name = str(capabilities.get("cpu_name", "Intel"))
    return has_both and bool(capabilities.get("avx512_f")) and "Intel" not in name
