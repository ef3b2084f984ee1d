"""Values that are not finite: half precision cannot hold them, or the model is broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from vividface.errors import InputError

_HALF = (torch.bfloat16, torch.float16)


class NotFiniteError(InputError):
    """A model's frames are not finite, in float32 either.

    Args:
        frames: indices of the frames.

    Attributes:
        frames: indices of the frames.
    """

    def __init__(self, frames: Sequence[int]) -> None:
        self.frames = list(frames)
        super().__init__(self.sentence())

    def sentence(self, first: int = 0) -> str:
        """What is wrong, and what to do.

        Args:
            first: index of the clip's first frame in its video.
        """
        frames = f"frames {first + self.frames[0]} to {first + self.frames[-1]}"
        return (
            f"{frames}: the model's result is not finite, in float32 either; get the checkpoint again, train "
            "it with a lower learning rate, or leave these frames out"
        )


@contextmanager
def in_float32(*modules: nn.Module | None) -> Iterator[None]:
    """Hold the weights of modules in float32; each then gets its own type back, and its value.

    No tensor is there twice: each is replaced by its own copy.

    Args:
        modules: modules, on any device; None is none.
    """
    tensors = [
        tensor
        for module in modules
        if module is not None
        for tensor in (*module.parameters(), *module.buffers())
        if tensor.dtype in _HALF
    ]
    types = [tensor.dtype for tensor in tensors]
    try:
        for tensor in tensors:
            tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, dtype in zip(tensors, types, strict=True):
            tensor.data = tensor.data.to(dtype)
