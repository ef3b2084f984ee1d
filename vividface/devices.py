"""Where a step computes, and in which precision."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vividface.errors import InputError

# Most rules compute without torch, and importing it takes a second.
if TYPE_CHECKING:
    import torch

# Torch's names of what multiplies matrices of bfloat16 on a CPU.
_FAST = ("amx_bf16", "avx512_bf16")
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


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
    import torch

    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise InputError(
            "no CUDA device is visible: check the driver and what was granted; on a CPU use --device cpu"
        )
    return "cuda" if available else "cpu"


def device_name(device: str) -> str:
    """The name of the GPU, or of the processor.

    Args:
        device: `cpu` or `cuda`.
    """
    if device == "cuda":
        import torch

        name: str = torch.cuda.get_device_name()
        return name
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory_mb(device: str) -> float:
    """The peak of what tensors held of the GPU's memory, or of this process's memory so far, MiB.

    Args:
        device: `cpu` or `cuda`.
    """
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    # Windows has no such module.
    import resource

    # In bytes on macOS, else in KiB.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def choose_dtype(asked: str, device: str) -> torch.dtype:
    """The type of a model's weights.

    Args:
        asked: `fp32`, `bf16`, or `auto`: bfloat16 on a GPU and on a CPU that multiplies matrices of it
            (Intel AMX, AVX-512 BF16), else float32.
        device: `cpu` or `cuda`.
    """
    import torch

    if asked == "auto":
        fast = device == "cuda" or any(torch.cpu.get_capabilities().get(name) for name in _FAST)
        asked = "bf16" if fast else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[asked]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the GPU, or of the machine, does not suffice."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _NO_MEMORY)
