"""Where a step computes."""

from __future__ import annotations

import torch

from vividface.errors import InputError


def choose_device(asked: str, *, num_gpus: int | None = None) -> str:
    """`cpu` or `cuda`.

    Args:
        asked: `cpu`, `cuda`, or `auto`: a GPU if there is one.
        num_gpus: number of GPUs that were granted; None takes what is visible.

    Raises:
        InputError: a GPU is asked for and none is visible.
    """
    if asked == "cpu" or num_gpus == 0:
        return "cpu"
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise InputError(
            "no CUDA device is visible: check the driver and what was granted; on a CPU use --device cpu"
        )
    return "cuda" if available else "cpu"
