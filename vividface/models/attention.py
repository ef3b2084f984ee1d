"""The choice of what computes the transformer's attention."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vividface.errors import InputError
from vividface.models.transformer import OneStepTransformer


@dataclass(frozen=True, kw_only=True)
class _Backend:
    """What a backend of diffusers' needs.

    Attributes:
        package: package that it is in; empty: torch.
        on_cpu: whether it also runs on a CPU.
        takes_float32: whether it also takes float32.
    """

    package: str = ""
    on_cpu: bool = False
    takes_float32: bool = False


# By diffusers' names. Those that download a kernel when they are chosen, and run it, are left out.
_BACKENDS = {
    "native": _Backend(on_cpu=True, takes_float32=True),
    "_native_cudnn": _Backend(),
    "_native_flash": _Backend(),
    "_native_efficient": _Backend(takes_float32=True),
    "flash": _Backend(package="flash-attn"),
    "_flash_3": _Backend(package="flash-attn-3"),
    "sage": _Backend(package="sageattention"),
    "xformers": _Backend(package="xformers", takes_float32=True),
}


def choose_attention(transformer: OneStepTransformer, backend: str, device: str) -> None:
    """Choose what computes a transformer's self-attention where it has no mask.

    Args:
        transformer: transformer in its type.
        backend: diffusers' name of the backend: `native` is torch's `scaled_dot_product_attention`, which
            chooses a kernel by itself.
        device: `cpu` or `cuda`, where it computes.

    Raises:
        InputError: there is no such backend, its package is not installed, or it does not run on the device
            or in the type.
    """
    needs = _BACKENDS.get(backend)
    if needs is None:
        raise InputError(f"--attention {backend}: is none of {', '.join(_BACKENDS)}")
    try:
        transformer.set_attention_backend(backend)
    except RuntimeError:
        raise InputError(
            f"--attention {backend}: the package {needs.package} is not installed, or too old; install it, "
            "or leave --attention out"
        ) from None
    if device == "cpu" and not needs.on_cpu:
        raise InputError(f"--attention {backend}: runs on a GPU alone; on a CPU leave --attention out")
    if transformer.dtype == torch.float32 and not needs.takes_float32:
        raise InputError(f"--attention {backend}: takes bfloat16 alone; use --dtype bf16")
