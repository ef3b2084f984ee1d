"""Time and peak memory of the one-step restoration, part by part, with random weights (Table 3's protocol).

    python benchmarks/inference.py --compile --output benchmark.json    # 81x512x512, wan-1.3b, on a GPU
    python benchmarks/inference.py --compile --autoencoder tiny         # with a light autoencoder
    python benchmarks/inference.py --frames 9 --size 128 --device cpu --diffusers
    python benchmarks/inference.py --preset nano --frames 17 --size 128

Prints each part's median time over the repetitions, its share of the whole, its peak memory, and the ratio to
the same part as diffusers has it, measured in turn with it.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from vividface.models.autoencoders import WanAutoencoder
from vividface.models.base import freeze
from vividface.models.presets import random_model
from vividface.models.tiny_autoencoder import TinyWanAutoencoder

Part = Callable[[], Tensor]


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=["wan-1.3b", "nano"], default="wan-1.3b")
    parser.add_argument("--frames", type=int, default=81, help="1 + a multiple of 4")
    parser.add_argument("--size", type=int, default=512, help="a multiple of 16")
    parser.add_argument("--autoencoder", choices=["own", "tiny"], default="own")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], help="default: bf16 on a GPU, else fp32")
    parser.add_argument("--compile", action="store_true", help="also measure with torch.compile")
    parser.add_argument("--diffusers", action="store_true", help="also measure diffusers' autoencoder")
    parser.add_argument("--skip-transformer", action="store_true", help="the autoencoder alone")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    dtype = options.dtype or ("bf16" if options.device == "cuda" else "fp32")
    figures = measure(options, torch.bfloat16 if dtype == "bf16" else torch.float32)
    figures["machine"] = describe(options.device) | {"dtype": dtype}
    for kind in ("eager", "compiled"):
        if kind in figures:
            print_table(kind, figures[kind], options.frames)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


@torch.inference_mode()
def measure(options: argparse.Namespace, dtype: torch.dtype) -> dict:
    """The figures of all parts, by kind."""
    torch.manual_seed(0)
    with torch.device(options.device):
        transformer, autoencoder = random_model(options.preset, dtype=dtype)
        if options.autoencoder == "tiny":
            autoencoder = freeze(TinyWanAutoencoder().to(dtype))
    frames = torch.rand(1, 3, options.frames, options.size, options.size, device=options.device) * 2 - 1
    frames = frames.to(autoencoder.dtype)
    latents = autoencoder.encode_video(frames).to(dtype)
    state = {"latents": latents}

    def decode() -> Tensor:
        return autoencoder.decode_video(state["latents"].to(autoencoder.dtype))

    parts: dict[str, Part] = {"encode": lambda: autoencoder.encode_video(frames)}
    if not options.skip_transformer:
        parts["transformer"] = lambda: transformer.restore(latents)
    parts["decode"] = decode
    others = {}
    if options.diffusers and isinstance(autoencoder, WanAutoencoder):
        others = _diffusers_parts(autoencoder, frames, latents)
    figures: dict = {
        "frames": options.frames,
        "size": options.size,
        "preset": options.preset,
        "autoencoder": autoencoder.fingerprint,
        "eager": timed(parts, others, options),
    }
    if options.compile:
        transformer.compile_repeated_blocks()
        for part in ("encoder", "decoder"):
            if hasattr(autoencoder, part):
                getattr(autoencoder, part).compile()
        figures["compiled"] = timed(parts, others, options)
    return figures


def _diffusers_parts(ours: WanAutoencoder, frames: Tensor, latents: Tensor) -> dict[str, Part]:
    """Encoder and decoder as diffusers has them, with the same weights."""
    theirs = AutoencoderKLWan.from_config(ours.config)
    torch.nn.Module.to(theirs, frames.device, frames.dtype)
    theirs.load_state_dict({key: value.contiguous() for key, value in ours.state_dict().items()})
    freeze(theirs)
    return {
        "encode": lambda: theirs.encode(frames).latent_dist.mode(),
        "decode": lambda: theirs.decode(latents, return_dict=False)[0],
    }


def timed(parts: dict[str, Part], others: dict[str, Part], options: argparse.Namespace) -> dict:
    """Median seconds and peak memory of each part; parts and their rivals take turns."""
    result = {}
    for name, part in parts.items():
        rival = others.get(name)
        seconds: list[float] = []
        rivals: list[float] = []
        reset_memory(options.device)
        part()
        if rival:
            rival()
        for _ in range(options.repetitions):
            seconds.append(clock(part, options.device))
            if rival:
                rivals.append(clock(rival, options.device))
        result[name] = {"seconds": statistics.median(seconds), "peak_memory_mb": peak_memory(options.device)}
        if rival:
            result[name]["diffusers_seconds"] = statistics.median(rivals)
            result[name]["times_as_fast_as_diffusers"] = statistics.median(rivals) / statistics.median(
                seconds
            )
    whole = sum(figures["seconds"] for figures in result.values())
    result["whole"] = {
        "seconds": whole,
        "frames_per_second": options.frames / whole,
        "peak_memory_mb": max(figures["peak_memory_mb"] for figures in result.values()),
    }
    return result


def clock(part: Part, device: str) -> float:
    """Seconds of one call."""
    synchronise(device)
    started = time.perf_counter()
    part()
    synchronise(device)
    return time.perf_counter() - started


def synchronise(device: str) -> None:
    """Wait for the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()


def reset_memory(device: str) -> None:
    """Begin to watch the peak anew; on a CPU the process's peak cannot be reset."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device: str) -> float:
    """MiB: of the GPU, or of the process so far."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def describe(device: str) -> dict:
    """The machine and the versions."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else processor,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def print_table(kind: str, parts: dict, frames: int) -> None:
    """One line per part."""
    whole = parts["whole"]["seconds"]
    print(kind)
    for name, figures in parts.items():
        ratio = figures.get("times_as_fast_as_diffusers")
        beside = f"  {ratio:.2f} x diffusers" if ratio else ""
        share = figures["seconds"] / whole
        memory = f"{figures['peak_memory_mb']:9.0f} MiB"
        print(f"  {name:12} {1000 * figures['seconds']:9.1f} ms {share:6.1%} {memory}{beside}")
    print(f"  {frames / whole:.1f} frames/s")


if __name__ == "__main__":
    main()
