"""The command `benchmark`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividface.errors import InputError
from vividface.files import write_json

if TYPE_CHECKING:
    from vividface.cli.types import Commands
    from vividface.restoration.loading import RestorerOptions
    from vividface.restoration.speed import Figure, Kind

_KINDS = ["eager", "compiled", "tiny", "tiny-compiled"]
_TITLES = {
    "eager": "eager",
    "compiled": "compiled",
    "tiny": "tiny autoencoder",
    "tiny-compiled": "tiny autoencoder, compiled",
}


def add_commands(commands: Commands) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("benchmark", help="measure the model's speed and memory on this machine")
    parser.set_defaults(run=_run)
    add = parser.add_argument
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--model", metavar="NAME|FOLDER", help="as for enhance (default: as there)")
    model.add_argument("--preset", choices=["nano", "wan-1.3b"], help="a model's shape, with random weights")
    add("--autoencoder", type=Path, help="tiny autoencoder to compare with (default: one of random weights)")
    add("--video", type=Path, help="also enhance this video, and say where the time goes")
    add("--mode", choices=["full", "crop"], default="full", help="of --video (default: %(default)s)")
    add("--frames", type=int, help="of the clip, 1 + a multiple of 4 (default: as in training)")
    add("--size", type=int, help="px, side of the clip, a multiple of 16 (default: as in training)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: a GPU if there is one")
    add("--dtype", choices=["auto", "fp32", "bf16"], default="auto", help="auto: bf16 where it is faster")
    add("--attention", metavar="BACKEND", help="as for enhance")
    add("--kinds", nargs="+", choices=_KINDS, default=_KINDS, metavar="KIND", help=f"of {', '.join(_KINDS)}")
    add("--repetitions", type=int, default=5, metavar="N", help="the median counts (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write the figures to a file")


def _run(options: argparse.Namespace) -> None:
    from vividface.devices import choose_device, choose_dtype
    from vividface.models.lean import lean_diffusers

    with lean_diffusers():
        from vividface.restoration.speed import describe_machine
    if options.repetitions < 1:
        raise InputError(f"--repetitions {options.repetitions}: is not positive")
    if options.video and options.preset:
        raise InputError("--video: needs a model's weights, --preset has none; name a model by --model")
    if options.video and not options.video.is_file():
        raise InputError(f"{options.video}: there is no such file")
    options.device = choose_device(options.device)
    about = describe_machine(options.device) | {
        "dtype": str(choose_dtype(options.dtype, options.device)).removeprefix("torch."),
        "attention": options.attention or "native, torch chooses",
    }
    clip, parts = _parts(options)
    about |= clip
    print("\n".join(f"- {name}: {value}" for name, value in about.items()))
    _print_table(_parts_table(parts))
    figures: dict[str, Any] = {"about": about, "parts": _for_json(parts)}
    if options.video:
        footage = _footage(options)
        print(f"- video: {options.video.name}")
        _print_table(_footage_table(footage))
        figures["footage"] = {_TITLES[kind]: asdict(figure) for kind, figure in footage.items()}
    if options.json:
        write_json(options.json, figures)


def _parts(options: argparse.Namespace) -> tuple[dict[str, str], dict[Kind, dict[str, Figure]]]:
    """What the clip and the model are, and the figures of the model's parts."""
    import torch

    from vividface.devices import choose_dtype
    from vividface.models.attention import choose_attention
    from vividface.models.autoencoders import WanAutoencoder
    from vividface.models.base import freeze
    from vividface.models.checkpoints import load_autoencoder, load_checkpoint
    from vividface.models.presets import random_model
    from vividface.models.tiny_autoencoder import TinyWanAutoencoder
    from vividface.restoration.loading import checkpoint_folder, default_model
    from vividface.restoration.speed import measure_kinds

    dtype = choose_dtype(options.dtype, options.device)
    name = options.model or default_model(options.device)
    with torch.device(options.device):
        if options.preset:
            transformer, autoencoder = random_model(options.preset, dtype=dtype)
        else:
            transformer, autoencoder = load_checkpoint(checkpoint_folder(name), dtype=dtype)
        tiny = None
        if options.autoencoder:
            tiny = load_autoencoder(options.autoencoder, dtype=dtype)
        elif isinstance(autoencoder, WanAutoencoder):
            tiny = freeze(TinyWanAutoencoder().to(dtype))
    for part in (transformer, autoencoder, tiny):
        if isinstance(part, torch.nn.Module):
            part.to(options.device)
    if options.attention:
        choose_attention(transformer, options.attention, options.device)
    num_frames = options.frames or int(transformer.config.clip_frames)
    size = options.size or int(transformer.config.clip_size)
    if num_frames % 4 != 1:
        raise InputError(f"--frames {num_frames}: is not 1 + a multiple of 4")
    if size < 16 or size % 16:
        raise InputError(f"--size {size}: is not a multiple of 16")
    figures = measure_kinds(
        transformer,
        autoencoder,
        tiny,
        kinds=tuple(options.kinds),
        tell=_tell,
        num_frames=num_frames,
        size=size,
        device=options.device,
        num_repetitions=options.repetitions,
    )
    model = f"{options.preset}, random weights" if options.preset else str(name)
    return {"model": model, "clip": f"{num_frames}x{size}x{size}"}, figures


def _footage(options: argparse.Namespace) -> dict[Kind, Figure]:
    """The figures of a video's enhancement, by the kind of model."""
    from vividface.restoration.loading import RestorerOptions
    from vividface.restoration.speed import measure_footage

    plain = RestorerOptions(
        model=options.model,
        mode=options.mode,
        device=options.device,
        dtype=options.dtype,
        attention=options.attention,
    )
    kinds: dict[Kind, RestorerOptions] = {"eager": plain, "compiled": replace(plain, compile=True)}
    if options.autoencoder:
        kinds["tiny"] = replace(plain, autoencoder=options.autoencoder)
        kinds["tiny-compiled"] = replace(kinds["tiny"], compile=True)
    figures: dict[Kind, Figure] = {}
    for kind, restorer in kinds.items():
        if kind in options.kinds:
            _tell(f"{options.video.name}, {kind} ...")
            figures[kind] = measure_footage(options.video, restorer, num_repetitions=options.repetitions)
    return figures


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parts_table(figures: dict[Kind, dict[str, Figure]]) -> list[list[str]]:
    from vividface.restoration.speed import PARTS

    whole = [parts["whole"] for parts in figures.values()]
    rows = [["", *(f"{part}, s" for part in PARTS), "frames/s", "first calls, s", *_memory_titles(whole)]]
    for kind, parts in figures.items():
        # The whole comes behind its parts, when they are compiled already.
        first = sum(parts[part].first_seconds or 0 for part in PARTS[:-1])
        cells = [_seconds(parts[part]) for part in PARTS]
        rows.append([_TITLES[kind], *cells, *_rest(parts["whole"], first)])
    return rows


def _footage_table(figures: dict[Kind, Figure]) -> list[list[str]]:
    from vividface.restoration.speed import STAGES

    titles = ["", *(f"{stage}, s" for stage in STAGES), "whole, s", "frames/s", "first window, s"]
    rows = [[*titles, *_memory_titles(list(figures.values()))]]
    for kind, figure in figures.items():
        stages = [f"{figure.stages[stage]:.2f}" if stage in figure.stages else "" for stage in STAGES]
        rows.append([_TITLES[kind], *stages, _seconds(figure), *_rest(figure, figure.first_seconds or 0)])
    return rows


def _memory_titles(figures: list[Figure]) -> list[str]:
    if any(figure.reserved_memory_mb is not None for figure in figures):
        return ["GPU allocated, GiB", "GPU reserved, GiB"]
    return ["process so far, GiB"]


def _seconds(figure: Figure) -> str:
    return figure.problem if figure.seconds is None else f"{figure.seconds:.3g}"


def _rest(figure: Figure, first_seconds: float) -> list[str]:
    """Frames/s, seconds of the first calls, memory."""
    if figure.seconds is None:
        return []
    memory = [figure.peak_memory_mb, figure.reserved_memory_mb]
    cells = [f"{value / 1024:.1f}" for value in memory if value is not None]
    return [f"{figure.num_frames / figure.seconds:.1f}", f"{first_seconds:.3g}", *cells]


def _print_table(rows: list[list[str]]) -> None:
    """Print a table as Markdown; rows that end early are filled up."""
    width = len(rows[0])
    lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows]
    print("\n".join(["", lines[0], f"|{' --- |' * width}", *lines[1:], ""]))


def _for_json(figures: dict[Kind, dict[str, Figure]]) -> dict[str, Any]:
    return {
        _TITLES[kind]: {part: asdict(figure) for part, figure in parts.items()}
        for kind, parts in figures.items()
    }
