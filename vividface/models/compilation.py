"""Compilation of the model's parts with `torch.compile`."""

from __future__ import annotations

from torch import nn
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler

from vividface.errors import InputError
from vividface.models.base import Autoencoder
from vividface.models.transformer import OneStepTransformer


def compile_parts(transformer: OneStepTransformer | None, autoencoder: Autoencoder) -> None:
    """Have the parts compiled for each shape that they meet, at its first call.

    Of the transformer one block, whose code all blocks share; of the autoencoder its encoder and decoder for
    one chunk of frames. The DCT has neither, and stays as it is.

    Args:
        transformer: transformer; None where there is none.
        autoencoder: autoencoder of its latents.

    Raises:
        InputError: no C++ compiler is installed.
    """
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise InputError(
            "--compile: no C++ compiler was found; install one (the package g++), or leave --compile out"
        ) from None
    if transformer is not None:
        transformer.compile_repeated_blocks(dynamic=False)
    for name in ("encoder", "decoder"):
        part = getattr(autoencoder, name, None)
        if isinstance(part, nn.Module):
            part.compile(dynamic=False)
