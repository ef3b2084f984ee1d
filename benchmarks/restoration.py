"""Time and memory of the one-step restoration and its three parts, with random weights.

    python benchmarks/restoration.py --frames 17 --size 128 --output benchmark.json

Prints each part's median time over the repetitions, its share of the whole, and frames per second.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from pathlib import Path

import torch

from vividface.config import ModelConfig
from vividface.models.presets import build_autoencoder, build_transformer


def median_seconds(function, repetitions: int) -> float:
    """The median over repetitions, after one warm-up."""
    function()
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=17, help="1 + a multiple of 4")
    parser.add_argument("--size", type=int, default=128, help="a multiple of 16")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    model = ModelConfig(preset="nano", prediction="velocity", timestep=400)
    transformer, autoencoder = build_transformer(model, seed=0).eval(), build_autoencoder(model)
    frames = torch.rand(1, 3, options.frames, options.size, options.size) * 2 - 1
    latents = autoencoder.encode_video(frames)
    parts = {
        "encode": lambda: autoencoder.encode_video(frames),
        "transformer": lambda: transformer.restore(latents),
        "decode": lambda: autoencoder.decode_video(latents),
    }
    seconds = {name: median_seconds(part, options.repetitions) for name, part in parts.items()}
    whole = sum(seconds.values())
    for name, value in seconds.items():
        print(f"{name:12} {1000 * value:8.1f} ms {value / whole:6.1%}")
    print(f"{'whole':12} {1000 * whole:8.1f} ms {options.frames / whole:6.1f} frames/s")
    figures = {
        "frames": options.frames,
        "size": options.size,
        "seconds": seconds,
        "frames_per_second": options.frames / whole,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "threads": torch.get_num_threads(),
        "machine": platform.platform(),
        "torch": torch.__version__,
    }
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
