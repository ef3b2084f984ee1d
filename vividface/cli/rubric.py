"""The command `rubric`: the judge's prompt, and fitting a rubric to a person's judgements."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vividface.errors import InputError

if TYPE_CHECKING:
    from vividface.cli.types import Commands


def add_commands(commands: Commands) -> None:
    """Add the command to the parser's."""
    rubric = commands.add_parser("rubric", help="the judge's rubric: its prompt, and fitting it to labels")
    actions = rubric.add_subparsers(required=True, metavar="ACTION")
    prompt = actions.add_parser("prompt", help="check a rubric and print its prompt")
    prompt.add_argument("rubric", nargs="?", default="face90", help="name, or a YAML file (default: face90)")
    prompt.set_defaults(run=_print_prompt)
    calibrate = actions.add_parser(
        "calibrate", help="propose a threshold and offsets from a CSV of judgements"
    )
    add = calibrate.add_argument
    add("labels", type=Path, help="CSV: clip_id, keep and/or score, and judged criteria")
    add("--scores", type=Path, nargs="+", help="tables of score_clips (default: data/*/scores/*.parquet)")
    add("--rubric", default="face90", help="name, or a YAML file (default: %(default)s)")
    add("--threshold", type=float, help="threshold in use (default: the rubric's)")
    add("-o", "--output", type=Path, default=Path("results/calibration.md"), help="(default: %(default)s)")
    calibrate.set_defaults(run=_calibrate)


def _print_prompt(options: argparse.Namespace) -> None:
    from vividface.filtering.rubric import load_rubric

    # The number of frames only decides whether the prompt speaks of one or of several.
    print(load_rubric(options.rubric).prompt(2), end="")


def _calibrate(options: argparse.Namespace) -> None:
    from vividface.files import write_text
    from vividface.filtering.calibration import calibrate, calibration_report, read_labels
    from vividface.filtering.rubric import load_rubric
    from vividface.filtering.selection import gather_scores

    rubric = load_rubric(options.rubric)
    paths = options.scores or sorted(Path("data").glob("*/scores/*.parquet"))
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        where = missing[0] if missing else "data/*/scores/*.parquet"
        raise InputError(f"{where}: does not exist; run the rule score_clips, or give --scores")
    scores = gather_scores(paths)
    threshold = rubric.threshold if options.threshold is None else options.threshold
    proposal = calibrate(scores, read_labels(options.labels, rubric), rubric=rubric, threshold=threshold)
    judges = ", ".join(sorted(scores["judge"].unique()))
    report = calibration_report(proposal, threshold=threshold, judge=judges)
    write_text(options.output, report)
    print(report)
    print(f"{options.output}: written")
