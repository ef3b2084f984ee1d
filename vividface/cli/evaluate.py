"""The command `evaluate`: metrics of anybody's results, as a table."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vividface.errors import InputError

if TYPE_CHECKING:
    from vividface.cli.types import Commands

_FORMATS = (".md", ".csv", ".json", ".html")


def add_commands(commands: Commands) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("evaluate", help="measure results: yours, or anybody's")
    parser.set_defaults(run=_run)
    add = parser.add_argument
    add(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULTS",
        help="a folder of videos or of folders of frames, or one of either; several: a row each",
    )
    add("--reference", type=Path, metavar="TRUTH", help="the true videos, of the same names")
    add("--input", type=Path, metavar="LQ", help="the degraded videos, of the same names: a row of its own")
    add("--metrics", nargs="+", metavar="NAME", help="(default: the paper's; docs/metrics.md has them all)")
    add(
        "-o",
        "--output",
        type=_table_file,
        action="append",
        default=[],
        metavar="TABLE",
        help=f"file of the table, {', '.join(_FORMATS)}; may be given several times",
    )
    add(
        "--align",
        type=_offset,
        action="append",
        default=[],
        metavar="[NAME=]N",
        help="results, or those of the clip NAME or of ROW/NAME, are N frames late: compare what both have",
    )
    add("--title", default="Results", help="title of the table (default: %(default)s)")
    add(
        "--faces",
        choices=["mediapipe", "dlib", "facexlib"],
        default="mediapipe",
        help="(default: %(default)s)",
    )
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: a GPU if there is one")
    add("--jobs", type=_positive, default=os.cpu_count() or 1, help="clips at a time (default: %(default)s)")
    add(
        "--bootstrap",
        type=_positive,
        default=1000,
        help="resamplings for the intervals (default: %(default)s)",
    )


def _table_file(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _FORMATS:
        raise argparse.ArgumentTypeError(f"{text}: does not end in {', '.join(_FORMATS)}")
    return path


def _offset(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    try:
        return name, int(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: is neither N nor NAME=N, N a number of frames") from None


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: is no number above 0")
    return number


def _run(options: argparse.Namespace) -> None:
    for path in [*options.results, options.reference, options.input]:
        if path is not None and not path.exists():
            raise InputError(f"{path}: there is no such file or folder; check the path")
    # An interrupted run goes on from what is measured already.
    partial = options.output[0].with_name(f"{options.output[0].name}.partial") if options.output else None
    from vividface.evaluation.evaluate import evaluate
    from vividface.evaluation.results import results_table, write_results

    values = evaluate(
        options.results,
        options.reference,
        inputs=options.input,
        metrics=options.metrics,
        offsets=dict(options.align),
        faces=options.faces,
        device=options.device,
        num_processes=options.jobs,
        progress=sys.stderr.isatty(),
        partial=partial,
    )
    table = results_table(values, title=options.title, resamplings=options.bootstrap)
    for path in options.output:
        write_results(path, table, values)
    print(table.to_markdown(), end="")
