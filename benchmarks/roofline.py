"""The least time that a restoration can take on a GPU: its arithmetic, and the bytes that must move.

    python benchmarks/roofline.py
    python benchmarks/roofline.py --frames 21 --size 512

Counts `wan-1.3b` on tensors without storage, so it needs neither a GPU nor memory, and prints the table of
docs/benchmarks.md. Each operation takes the longer of its arithmetic at the GPU's peak and of its bytes at
the memory's bandwidth; operations follow one another. Counted once as they are launched one by one, where
each reads its inputs from memory and writes its output, and once fused, where convolutions, matrix products
and attention alone do so, and all between them happens on the way.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from vividface.models.autoencoders import WanAutoencoder
from vividface.models.base import SPATIAL, TEMPORAL
from vividface.models.presets import random_model
from vividface.models.tiny_autoencoder import TinyWanAutoencoder


@dataclass(frozen=True)
class Gpu:
    """A GPU, by its data sheet.

    Attributes:
        name: name of the GPU.
        flops: peak of dense bfloat16, FLOP/s.
        bandwidth: bandwidth of its memory, bytes/s.
    """

    name: str
    flops: float
    bandwidth: float


GPUS = (Gpu("A100 80 GB", 312e12, 2.04e12), Gpu("H200", 989e12, 4.8e12))


@dataclass(frozen=True)
class Operation:
    """An operation that a GPU runs.

    Attributes:
        flops: floating point operations, two per multiplication with its addition.
        num_bytes: size of what it reads and writes, bytes.
    """

    flops: int
    num_bytes: int


@dataclass(frozen=True)
class Cost:
    """What a part of the restoration costs.

    Attributes:
        operations: all operations, in order.
    """

    operations: list[Operation]

    @property
    def flops(self) -> int:
        """Floating point operations."""
        return sum(operation.flops for operation in self.operations)

    def num_bytes(self, *, fused: bool) -> int:
        """Bytes that are read and written."""
        return sum(operation.num_bytes for operation in self._run(fused=fused))

    def seconds(self, gpu: Gpu, *, fused: bool) -> float:
        """The least time on a GPU, s."""
        return sum(
            max(operation.flops / gpu.flops, operation.num_bytes / gpu.bandwidth)
            for operation in self._run(fused=fused)
        )

    def _run(self, *, fused: bool) -> list[Operation]:
        return [operation for operation in self.operations if operation.flops or not fused]


class _Counter(TorchDispatchMode):
    """Lists the operations that are run inside of it; those that only view their input are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self._flops = FlopCounterMode(display=False)

    def __enter__(self) -> _Counter:
        self._flops.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._flops.__exit__(*error)

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: Any = None
    ) -> Any:
        before = self._flops.get_total_flops()
        result = function(*arguments, **(options or {}))
        given, made = list(_tensors(arguments)), list(_tensors(result))
        if function._schema.is_mutable:
            made = []
        elif {_storage(tensor) for tensor in made} & {_storage(tensor) for tensor in given}:
            return result
        flops = self._flops.get_total_flops() - before
        self.operations.append(Operation(flops, sum(tensor.nbytes for tensor in given + made)))
        return result


def _storage(tensor: Tensor) -> int:
    """Address of the storage, also of one without bytes."""
    return int(tensor.untyped_storage()._cdata)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def cost_of(part: Callable[[], object]) -> Cost:
    """The cost of what a function computes on tensors without storage."""
    # In inference mode attention arrives whole, as the GPU runs it, not as products with all weights between.
    with torch.inference_mode(), _Counter() as counter:
        part()
    return Cost(counter.operations)


def count(num_frames: int = 81, size: int = 512) -> dict[str, Cost]:
    """The costs of the parts of `wan-1.3b`, in bfloat16.

    Args:
        num_frames: length of the clip, 1 + a multiple of 4.
        size: side of its frames, px.
    """
    with torch.device("meta"):
        transformer, autoencoder = random_model("wan-1.3b", dtype=torch.bfloat16)
        # As diffusers has it: `random_model` replaces layers.
        plain = WanAutoencoder().bfloat16()
        tiny = TinyWanAutoencoder().bfloat16()
        frames = torch.empty(1, 3, num_frames, size, size, dtype=torch.bfloat16)
        shape = (1, autoencoder.latent_channels, 1 + num_frames // TEMPORAL, size // SPATIAL, size // SPATIAL)
        latents = torch.empty(shape, dtype=torch.bfloat16)
    return {
        "encode": cost_of(lambda: autoencoder.encode_video(frames)),
        "transformer": cost_of(lambda: transformer.restore(latents)),
        "decode": cost_of(lambda: autoencoder.decode_video(latents)),
        "encode, diffusers' layers": cost_of(lambda: plain.encode_video(frames)),
        "decode, diffusers' layers": cost_of(lambda: plain.decode_video(latents)),
        "tiny encode": cost_of(lambda: tiny.encode_video(frames)),
        "tiny decode": cost_of(lambda: tiny.decode_video(latents)),
    }


def rows_of(costs: dict[str, Cost]) -> dict[str, list[float]]:
    """The rows of the table: TFLOP, GB fused and one by one, and for each GPU ms fused and one by one."""
    wholes = {
        "whole": ("encode", "transformer", "decode"),
        "whole, tiny autoencoder": ("tiny encode", "transformer", "tiny decode"),
    }
    joined = {
        name: Cost([operation for part in parts for operation in costs[part].operations])
        for name, parts in wholes.items()
    }
    return {
        name: [
            cost.flops / 1e12,
            *(cost.num_bytes(fused=fused) / 1e9 for fused in (True, False)),
            *(1000 * cost.seconds(gpu, fused=fused) for gpu in GPUS for fused in (True, False)),
        ]
        for name, cost in (costs | joined).items()
    }


def main() -> None:
    """Parse the options, count, print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=81, help="1 + a multiple of 4")
    parser.add_argument("--size", type=int, default=512, help="px, a multiple of 16")
    options = parser.parse_args()
    titles = ["part", "TFLOP", "GB fused", "GB one by one"]
    titles += [f"{gpu.name}, ms {kind}" for gpu in GPUS for kind in ("fused", "one by one")]
    print(f"| {' | '.join(titles)} |\n|{' --- |' * len(titles)}")
    for name, values in rows_of(count(options.frames, options.size)).items():
        cells = [f"{values[0]:.1f}", *(f"{value:,.0f}" for value in values[1:])]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
