"""Throughput and memory of the two training stages, and of the data loader alone, on synthetic clips.

    python benchmarks/training.py --output training.json                       # nano, on the CPU
    python benchmarks/training.py --preset wan-1.3b --device cuda --compile    # random weights, on a GPU

Each stage's step is forward, backward and AdamW; a figure is the median over the repetitions. The loaders
read what the stages read, from files on disk, in one process: `num_workers` of the config multiply that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from vividface.data.latents import LatentClips
from vividface.data.pixels import PixelClip, PixelClips
from vividface.devices import peak_memory_mb
from vividface.models.base import SPATIAL, TEMPORAL
from vividface.models.perceptual import load_dists
from vividface.models.presets import random_model
from vividface.training.losses import dists_loss, face_focused_loss
from vividface.training.trainer import OneStepModule
from vividface.video import write_clip


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=["nano", "wan-1.3b"], default="nano")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--latent-frames", type=int, help="default: 17, wan-1.3b: 81")
    parser.add_argument("--pixel-frames", type=int, help="default: 5, wan-1.3b: 13")
    parser.add_argument("--size", type=int, help="px; default: 128, wan-1.3b: 512")
    parser.add_argument("--batch-size", type=int, help="default: 3, wan-1.3b: 1")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    paper = options.preset == "wan-1.3b"
    options.latent_frames = options.latent_frames or (81 if paper else 17)
    options.pixel_frames = options.pixel_frames or (13 if paper else 5)
    options.size = options.size or (512 if paper else 128)
    options.batch_size = options.batch_size or (1 if paper else 3)
    figures: dict[str, object] = {"preset": options.preset, "size": options.size, "torch": torch.__version__}
    figures["device"] = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    figures["threads"] = torch.get_num_threads()
    for compiled in [False, True] if options.compile else [False]:
        for checkpointing in (False, True):
            name = ("compiled" if compiled else "eager") + (", checkpointing" if checkpointing else "")
            figures[name] = measured = measure(options, compiled=compiled, checkpointing=checkpointing)
            for stage, values in measured.items():
                print(f"{name:28} {stage:8} " + "  ".join(f"{k} {v:.4g}" for k, v in values.items()))
    figures["loader"] = loaders = {"latent": latent_loader(options), "pixel": pixel_loader(options)}
    for stage, speed in loaders.items():
        print(f"{'loader':28} {stage:8} samples_per_second {speed:.4g}")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


def measure(
    options: argparse.Namespace, *, compiled: bool, checkpointing: bool
) -> dict[str, dict[str, float]]:
    """Both stages of one variant, by name."""
    transformer, autoencoder = random_model(options.preset)
    model = OneStepModule(transformer.requires_grad_(requires_grad=True).train()).to(options.device)
    autoencoder.to(options.device)  # type: ignore[attr-defined]
    if checkpointing:
        transformer.enable_gradient_checkpointing()
    if compiled:
        model.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    batch, side = options.batch_size, options.size // SPATIAL
    length = 1 + (options.latent_frames - 1) // TEMPORAL
    lq, hq = torch.randn(2, batch, autoencoder.latent_channels, length, side, side, device=options.device)
    mask = torch.ones(batch, length, side, side, device=options.device)
    focus = torch.ones(batch, dtype=torch.bool, device=options.device)

    def latent_loss() -> torch.Tensor:
        return face_focused_loss(model(lq), hq, mask, focus)

    figures = {"latent": _timed(options, optimizer, latent_loss, batch)}
    frames = (
        torch.rand(2, 1, 3, options.pixel_frames, options.size, options.size, device=options.device) * 2 - 1
    )
    everywhere = torch.ones(1, options.pixel_frames, options.size, options.size, device=options.device)
    dists: nn.Module = load_dists().to(options.device)

    def pixel_loss() -> torch.Tensor:
        with torch.no_grad():
            latents = autoencoder.encode_video(frames[0])
        restored = autoencoder.decode_video(model(latents), checkpointed=checkpointing)
        squared = face_focused_loss(restored, frames[1], everywhere, focus[:1])
        return squared + 0.1 * dists_loss(restored, frames[1], dists, checkpointed=checkpointing)

    figures["pixel"] = _timed(options, optimizer, pixel_loss, 1)
    return figures


def _timed(
    options: argparse.Namespace,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[], torch.Tensor],
    samples: int,
) -> dict[str, float]:
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    # The first step warms up.
    for _ in range(options.repetitions + 1):
        started = time.perf_counter()
        with torch.autocast(options.device, torch.bfloat16, enabled=options.device == "cuda"):
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        if options.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds[1:])
    memory = peak_memory_mb(options.device)
    return {"seconds": median, "samples_per_second": samples / median, "peak_memory_mb": memory}


def latent_loader(options: argparse.Namespace) -> float:
    """Samples per second that one process reads from shards of latents."""
    _, autoencoder = random_model(options.preset)
    side, length = options.size // SPATIAL, 1 + (options.latent_frames - 1) // TEMPORAL
    shape = (autoencoder.latent_channels, length, side, side)
    with tempfile.TemporaryDirectory() as directory:
        shard, count = Path(directory) / "0000.safetensors", 16
        tensors: dict[str, torch.Tensor] = {}
        for clip in range(count):
            tensors |= {f"{clip}.{kind}": torch.randn(shape).half() for kind in ("lq", "hq")}
            tensors[f"{clip}.mask"] = torch.ones(shape[1:], dtype=torch.uint8)
        save_file(tensors, shard, {"autoencoder": autoencoder.fingerprint})
        clips = LatentClips([shard], autoencoder, num_frames=options.latent_frames)
        started = time.perf_counter()
        for index in range(count * options.repetitions):
            clips.read(index % count)
        return count * options.repetitions / (time.perf_counter() - started)


def pixel_loader(options: argparse.Namespace) -> float:
    """Samples per second that one process decodes: windows in the middle of clips of the latent length."""
    total, side = options.latent_frames, options.size
    # Noise would be harder to decode than any video: a moving gradient, and a low-resolution copy.
    ramp = np.add.outer(np.arange(side), np.arange(side + total)) * 127 // side
    frames = np.stack([np.repeat(ramp[:, i : i + side, None], 3, 2) for i in range(total)]).astype(np.uint8)
    with tempfile.TemporaryDirectory() as directory:
        hq, lq, mask = (Path(directory) / f"{kind}.mkv" for kind in ("hq", "lq", "mask"))
        write_clip(hq, frames, 25)
        write_clip(lq, frames, 25)
        write_clip(mask, frames[..., 0] > 60, 25, codec="ffv1_gray")
        clip = PixelClip(clip_id="clip", hq=hq, lq=lq, mask=mask, num_frames=total)
        clips = PixelClips([clip], num_frames=options.pixel_frames)
        started = time.perf_counter()
        for _ in range(options.repetitions):
            clips.read(0, 0.5)
        return options.repetitions / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
