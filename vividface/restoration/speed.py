"""Speed and memory of the restoration on this machine: of the model's parts, and of a video's enhancement.

Kinds of a model are compared: `eager` as it is loaded, `compiled` by `torch.compile`, and either with a tiny
autoencoder.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import diffusers
import torch

from vividface.devices import device_name, is_out_of_memory, peak_memory_mb
from vividface.errors import InputError
from vividface.models.base import SPATIAL, TEMPORAL, Autoencoder
from vividface.models.compilation import compile_parts
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.enhance import enhance
from vividface.restoration.loading import RestorerOptions, enhance_config, load_restorer
from vividface.restoration.opening import open_source
from vividface.restoration.reading import Excerpt
from vividface.restoration.stages import Stage

Kind = Literal["eager", "compiled", "tiny", "tiny-compiled"]
KINDS: tuple[Kind, ...] = ("eager", "compiled", "tiny", "tiny-compiled")
PARTS = ("encode", "transformer", "decode", "whole")
STAGES: tuple[Stage, ...] = ("reading", "faces", "model", "pasting", "writing")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What was measured of one thing.

    Attributes:
        seconds: median duration, s; None where it could not be measured.
        problem: reason for that, or empty.
        peak_memory_mb: peak of the memory, MiB: what tensors hold of the GPU's, or the process's so far.
        reserved_memory_mb: peak of what is reserved of the GPU's memory, MiB; None on a CPU.
        first_seconds: duration of the first call, s, which compiles what is to be compiled.
        stages: seconds that each stage of an enhancement was busy, in the median run.
        num_frames: number of frames of the clip or the video.
    """

    seconds: float | None = None
    problem: str = ""
    peak_memory_mb: float = 0
    reserved_memory_mb: float | None = None
    first_seconds: float | None = None
    stages: dict[Stage, float] = field(default_factory=dict)
    num_frames: int = 0


def measure_parts(
    transformer: OneStepTransformer,
    autoencoder: Autoencoder,
    *,
    num_frames: int,
    size: int,
    device: str,
    num_repetitions: int,
) -> dict[str, Figure]:
    """Time and memory of encode, transformer, decode and the whole of them, of one clip of noise.

    What does not fit into memory says so, and the others are measured.

    Args:
        transformer: transformer, on its device.
        autoencoder: autoencoder of its latents.
        num_frames: length of the clip, 1 + a multiple of 4.
        size: side of the frames, px, a multiple of 16.
        device: `cpu` or `cuda`.
        num_repetitions: number of runs behind the first, of which the median counts.
    """
    side = size // SPATIAL
    shape = (1, autoencoder.latent_channels, 1 + num_frames // TEMPORAL, side, side)

    def whole() -> None:
        latents = transformer.restore(autoencoder.encode_video(frames))
        autoencoder.decode_video(latents.to(autoencoder.dtype))

    with torch.inference_mode():
        torch.manual_seed(0)
        frames = torch.rand(1, 3, num_frames, size, size) * 2 - 1
        frames = frames.to(device, autoencoder.dtype)
        latents = torch.randn(shape).to(device, autoencoder.dtype)
        calls: dict[str, Callable[[], object]] = {
            "encode": lambda: autoencoder.encode_video(frames),
            "transformer": lambda: transformer.restore(latents),
            "decode": lambda: autoencoder.decode_video(latents),
            "whole": whole,
        }
        return {
            part: _measured(call, device, num_repetitions=num_repetitions, num_frames=num_frames)
            for part, call in calls.items()
        }


def measure_kinds(
    transformer: OneStepTransformer,
    autoencoder: Autoencoder,
    tiny: Autoencoder | None,
    *,
    kinds: tuple[Kind, ...],
    tell: Callable[[str], None],
    **clip: Any,
) -> dict[Kind, dict[str, Figure]]:
    """`measure_parts` of each kind of a model.

    Args:
        transformer: transformer, on its device.
        autoencoder: autoencoder of its latents.
        tiny: another autoencoder of the same latents; None leaves out the kinds that have it.
        kinds: kinds to measure; those that are compiled come last, since compiling stays.
        tell: function that is called with the name of each kind.
        clip: `num_frames`, `size`, `device` and `num_repetitions` of `measure_parts`.
    """
    figures: dict[Kind, dict[str, Figure]] = {}
    for kind in sorted(kinds, key=lambda kind: "compiled" in kind):
        chosen = tiny if kind.startswith("tiny") else autoencoder
        if chosen is None:
            continue
        tell(f"{kind} ...")
        if "compiled" in kind:
            try:
                compile_parts(transformer, chosen)
            except InputError as error:
                figures[kind] = dict.fromkeys(PARTS, Figure(problem=str(error)))
                continue
        figures[kind] = measure_parts(transformer, chosen, **clip)
    return {kind: figures[kind] for kind in kinds if kind in figures}


def measure_footage(video: Path, options: RestorerOptions, *, num_repetitions: int) -> Figure:
    """Time and memory of enhancing a video, file to file, and where the time goes.

    The first window is enhanced once before, so that what is loaded and compiled at its first use is there.

    Args:
        video: path of the video.
        options: options of the model and the face backend.
        num_repetitions: number of runs, of which the median counts.

    Raises:
        InputError: the video or the model cannot be read, or no face is found.
    """
    restorer = load_restorer(options)
    config = enhance_config(restorer)
    device = "cuda" if options.device == "cuda" else "cpu"

    def run(output: Path, excerpt: Excerpt) -> tuple[float, dict[Stage, float], int]:
        started = time.perf_counter()
        result = enhance(open_source(video, excerpt=excerpt), output, restorer=restorer, config=config)
        return time.perf_counter() - started, result.stages, result.num_frames

    _reset_memory(device)
    with TemporaryDirectory() as folder:
        suffix = video.suffix if video.suffix in (".mp4", ".mov", ".mkv") else ".mkv"
        try:
            first, _, _ = run(Path(folder) / f"first{suffix}", Excerpt(num_frames=config.window))
            runs = [run(Path(folder) / f"{index}{suffix}", Excerpt()) for index in range(num_repetitions)]
        except InputError as error:
            if error.__cause__ is None or not is_out_of_memory(error.__cause__):
                raise
            return Figure(problem="out of memory")
    seconds, stages, num_frames = sorted(runs, key=lambda one: one[0])[(len(runs) - 1) // 2]
    return Figure(
        seconds=seconds, stages=stages, num_frames=num_frames, first_seconds=first, **_memory(device)
    )


def describe_machine(device: str) -> dict[str, str]:
    """The processor and the versions that figures were measured with.

    Args:
        device: `cpu` or `cuda`.
    """
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }
    processor = f"{device_name('cpu')}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if device == "cpu":
        return {"device": processor, **versions}
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return {
        "device": f"{device_name(device)}, {memory:.0f} GiB",
        "processor": processor,
        **versions,
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
    }


def _measured(call: Callable[[], object], device: str, *, num_repetitions: int, num_frames: int) -> Figure:
    _reset_memory(device)
    try:
        first = _clock(call, device)
        seconds = [_clock(call, device) for _ in range(num_repetitions)]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return Figure(problem="out of memory")
    return Figure(
        seconds=statistics.median(seconds),
        first_seconds=first,
        num_frames=num_frames,
        **_memory(device),
    )


def _clock(call: Callable[[], object], device: str) -> float:
    """Seconds of one call, with what it left to the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _reset_memory(device: str) -> None:
    """Forget the peak of the GPU's memory, and free what is held for later; a process's peak stays."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _memory(device: str) -> dict[str, Any]:
    reserved = torch.cuda.max_memory_reserved() / 2**20 if device == "cuda" else None
    return {"peak_memory_mb": peak_memory_mb(device), "reserved_memory_mb": reserved}
