"""The command `enhance`."""

from __future__ import annotations

import argparse
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from vividface.cli.enhance_report import (
    outcome_values,
    report_path,
    report_paths,
    reports_of,
    sentence,
    tell,
    values,
    warn,
)
from vividface.cli.status import FAILED, INCOMPLETE
from vividface.config import EnhanceConfig, validate_enhance
from vividface.config.times import parse_time

if TYPE_CHECKING:
    from vividface.cli.types import Commands
    from vividface.restoration.folder import Outcome
    from vividface.restoration.loading import FaceRestorer
    from vividface.restoration.reading import Excerpt, Source

_FIELDS = EnhanceConfig.model_fields


def add_commands(commands: Commands) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("enhance", help="enhance the faces of a video")
    parser.set_defaults(run=_run, usage_error=parser.error, default_of=parser.get_default)
    add = parser.add_argument
    add("input", type=Path, metavar="INPUT", help="a video, an image, a folder of either, or a pattern")
    add("-o", "--output", type=Path, help="of the input's kind (frames may become a video)")
    add("--mode", choices=["full", "crop"], default="full", help="find faces, or take frames as face crops")
    add("--compare", type=Path, help="also write input and output side by side; of a folder, a folder")
    add("--fps", type=_rate, default=Fraction(25), help="of a folder of frames (default: %(default)s)")
    add("--json", action="store_true", help="print the result as JSON")
    add(
        "--report",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write NAME.json beside each result (default: %(default)s)",
    )
    add("--overwrite", action="store_true", help="replace existing results")
    add("--resume", action="store_true", help="resume a run that was interrupted or killed")
    add("--seed", type=int, default=0, help="random seed (the one-step model draws nothing)")
    _add_part(parser.add_argument_group("a part"))
    _add_model(parser.add_argument_group("model"))
    _add_settings(parser.add_argument_group("settings"))


def _add_part(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--start", type=_time, default=Fraction(0), help="seconds or HH:MM:SS (default: the beginning)")
    add("--end", type=_time, help="seconds or HH:MM:SS (default: the end)")
    add("--frames", type=int, metavar="N", help="at most N frames")
    add(
        "--preview",
        type=Path,
        metavar="PICTURE",
        help="write one picture per shot, before and after, and nothing else (NAME.jpg or .png; of several "
        "shots NAME-01.jpg ...)",
    )


def _time(text: str) -> Fraction:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _rate(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text}: is no number or fraction") from None


def _add_model(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--model",
        metavar="NAME|FOLDER",
        help="nano, vividface-1.3b or a checkpoint folder (default: vividface-1.3b where it and a GPU are "
        "there, else nano, which comes with the package)",
    )
    add(
        "--autoencoder",
        type=Path,
        metavar="NAME|FOLDER",
        help="another autoencoder for the same latents: taew2_1, a tiny one, or a folder",
    )
    backends = ["auto", "mediapipe", "dlib", "facexlib"]
    add(
        "--faces",
        choices=backends,
        default="auto",
        help="auto: facexlib if it and a GPU are here, else mediapipe",
    )
    add("--size", type=int, help="px, side of a face's crop in mode full (default: as in training)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: a GPU if there is one")
    add(
        "--dtype",
        choices=["auto", "fp32", "bf16"],
        default="auto",
        help="auto: bf16 where it is faster",
    )
    add("--tile", action="store_true", help="less memory for large frames (Wan's autoencoder)")
    add("--offload", action="store_true", help="less GPU memory: it holds only the part that computes")
    add(
        "--attention",
        metavar="BACKEND",
        help="diffusers' name of what computes the self-attention: native, flash, sage, ... (default: torch "
        "chooses)",
    )
    add("--compile", action="store_true", help="faster, after a minute or more at the first window")


def _add_settings(group: argparse._ArgumentGroup) -> None:
    def add(name: str, kind: type, text: str) -> None:
        default = _FIELDS[name].default
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, type=kind, default=default, help=f"{text} (default: %(default)s)")

    group.add_argument(
        "--window", type=int, help="frames at once, 1 + a multiple of 4 (default: as in training)"
    )
    group.add_argument(
        "--overlap", type=int, help="frames blended between windows (default: a tenth of a window)"
    )
    add("scale", float, "size of the result over that of the input")
    add("min_face", int, "px, smaller faces are left alone")
    add("max_turn", float, "degrees from the camera, faces turned further are left alone; 180: none")
    add("margin", float, "around a face, as a share of its side")
    add("cut_threshold", float, "0..255; 0 looks for no cuts")
    add("strength", str, "0..1, or auto: less for whom restoring would turn into another person")
    add("face", str, "whom to restore: all, largest, X,Y@TIME (a pixel of the face), or a person's photo")

    def choose(name: str, text: str) -> None:
        field = _FIELDS[name]
        help_ = f"{text} (default: %(default)s)"
        group.add_argument(f"--{name}", choices=get_args(field.annotation), default=field.default, help=help_)

    choose("colour", "keep the input's colours")
    choose("codec", "of a video; ffv1 (.mkv) loses nothing")
    group.add_argument(
        "--quality",
        "--crf",
        type=int,
        metavar="CRF",
        help="of a video, lower is better (default: h264 16, h265 18, av1 22)",
    )
    group.add_argument(
        "--deinterlace",
        choices=["auto", "on", "off"],
        default="auto",
        help="auto: where the video says that it is interlaced",
    )
    group.add_argument(
        "--hands",
        action=argparse.BooleanOptionalAction,
        default=_FIELDS["hands"].default,
        help="leave hands in front of a face as they are (default: %(default)s)",
    )
    group.add_argument(
        "--grain",
        type=_strength,
        metavar="off|auto|0..1",
        default=_FIELDS["grain"].default,
        help="put the input's grain back on restored faces; auto: as strong as measured (default: off)",
    )


def _strength(text: str) -> float:
    """A strength, where `off` is 0 and `auto` is 1."""
    try:
        return float({"off": 0, "auto": 1}.get(text, text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: is not off, auto or a number from 0 to 1") from None


def _run(options: argparse.Namespace) -> int:
    from vividface.restoration.opening import videos_in

    if options.output is None and options.preview is None:
        options.usage_error("the following arguments are required: -o/--output (or --preview)")
    videos = videos_in(options.input) if options.input.is_dir() else []
    if options.preview is not None:
        return _preview(options)
    return _enhance_folder(videos, options) if videos else _enhance_one(options)


def _enhance_one(options: argparse.Namespace) -> int:
    # Before the weights, and the packages that run them, which take their time: a mistake is told at once.
    source = _open(options)
    _try(source, options)
    restorer = _load(options)
    from vividface.restoration.enhance import enhance

    config = _config(restorer, options)
    result = enhance(
        source,
        options.output,
        restorer=restorer,
        config=config,
        compare=options.compare,
        overwrite=options.overwrite,
        resume=options.resume,
        progress=sys.stderr.isatty(),
    )
    print(json.dumps(values(options.input, result), indent=2) if options.json else sentence(result))
    warn(options.input, result)
    reports = reports_of(options, restorer.model, config)
    reports.write(report_path(options.output), options.input, result)
    return INCOMPLETE if result.problem else 0


def _try(source: Source, options: argparse.Namespace) -> None:
    """Raise `InputError` for settings, and for results that cannot be written."""
    from vividface.restoration.results import result_track, try_results
    from vividface.restoration.selection import require_choice

    validate_enhance(_settings(options) | {"window": options.window or 1, "overlap": 0})
    require_choice(options.face, finds_faces=options.mode == "full")
    paths = [options.output] if options.compare is None else [options.output, options.compare]
    track, _ = result_track(source, scale=options.scale, codec=options.codec, quality=options.quality)
    try_results(source, paths, track=track, overwrite=options.overwrite)
    reports_of(options).require_free(report_path(options.output))


def _preview(options: argparse.Namespace) -> int:
    source = _open(options)
    restorer = _load(options)
    from vividface.restoration.preview import preview

    previews = []
    for shown in preview(
        source,
        options.preview,
        restorer=restorer,
        config=_config(restorer, options),
        overwrite=options.overwrite,
    ):
        previews.append({"path": str(shown.path), "time": shown.time, "face": shown.has_face})
        if not options.json:
            face = "" if shown.has_face or options.mode == "crop" else ", no face restored"
            print(f"{shown.path}: at {shown.time:.2f} s{face}", flush=True)
    if options.json:
        print(json.dumps({"input": str(options.input), "previews": previews}, indent=2))
    return INCOMPLETE if source.problem else 0


def _enhance_folder(videos: list[Path], options: argparse.Namespace) -> int:
    restorer = _load(options)
    from vividface.restoration.folder import enhance_folder, result_paths

    config = _config(restorer, options)
    reports = reports_of(options, restorer.model, config)
    paths = report_paths(result_paths(videos, options.output))

    def report(outcome: Outcome) -> None:
        tell(outcome)
        if outcome.result is not None:
            reports.write(paths[outcome.result.output], outcome.source, outcome.result)

    outcomes = enhance_folder(
        videos,
        options.output,
        restorer=restorer,
        config=config,
        compare=options.compare,
        overwrite=options.overwrite,
        resume=options.resume,
        progress=sys.stderr.isatty(),
        excerpt=_excerpt(options),
        deinterlacing=options.deinterlace,
        require_free=lambda result: reports.require_free(paths[result]),
        report=report,
    )
    num_enhanced = sum(outcome.result is not None for outcome in outcomes)
    num_skipped = sum(outcome.skipped for outcome in outcomes)
    num_failed = sum(bool(outcome.error) for outcome in outcomes)
    summary = f"{num_enhanced} enhanced, {num_skipped} there already, {num_failed} failed"
    print(f"{options.output}: {summary}", file=sys.stderr)
    if options.json:
        print(json.dumps({"videos": [outcome_values(outcome) for outcome in outcomes]}, indent=2))
    incomplete = any(outcome.result and outcome.result.problem for outcome in outcomes)
    return FAILED if num_failed else INCOMPLETE if incomplete else 0


def _open(options: argparse.Namespace) -> Source:
    from vividface.restoration.opening import open_source

    return open_source(
        options.input, fps=options.fps, deinterlacing=options.deinterlace, excerpt=_excerpt(options)
    )


def _excerpt(options: argparse.Namespace) -> Excerpt:
    from vividface.restoration.reading import Excerpt

    return Excerpt(start=options.start, end=options.end, num_frames=options.frames)


def _load(options: argparse.Namespace) -> FaceRestorer:
    import torch

    from vividface.models.lean import lean_diffusers

    with lean_diffusers():
        from vividface.restoration.loading import RestorerOptions, load_restorer
    torch.manual_seed(options.seed)
    restorer = load_restorer(
        RestorerOptions(
            model=options.model,
            mode=options.mode,
            device=options.device,
            dtype=options.dtype,
            autoencoder=options.autoencoder,
            faces=options.faces,
            size=options.size,
            tile=options.tile,
            offload=options.offload,
            attention=options.attention,
            compile=options.compile,
        ),
        tell=_tell,
    )
    print(f"model: {restorer.description} (--model and --faces name others)", file=sys.stderr)
    return restorer


def _tell(line: str) -> None:
    from tqdm import tqdm

    # Above a progress bar, where there is one.
    tqdm.write(line, file=sys.stderr)


def _config(restorer: FaceRestorer, options: argparse.Namespace) -> EnhanceConfig:
    from vividface.restoration.loading import enhance_config

    return enhance_config(restorer, **_settings(options))


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    values = {name: getattr(options, name) for name in _FIELDS}
    # On the command line 0 stands for the configuration's null.
    return values | {"cut_threshold": options.cut_threshold or None}
