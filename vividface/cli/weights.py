"""The commands `weights`, weights and models of others, and `import-checkpoint`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vividface.cli.types import Commands


def add_commands(commands: Commands) -> None:
    """Add the commands to the parser's."""
    weights = commands.add_parser("weights", help="weights and models of others: list them, or fetch some")
    actions = weights.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="all of them: name, size, whether they are here, licence")
    listing.set_defaults(run=_list)
    fetch = actions.add_parser("fetch", help="download, verify, and convert where it is needed")
    fetch.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="a model such as vividface-1.3b, a group such as metrics, a file, or all",
    )
    fetch.add_argument("--accept-licence", action="store_true", help="accept the licences of the models")
    fetch.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="LICENCE",
        help="a licence of files that you have read and accept, such as s-lab-1.0; may be repeated",
    )
    fetch.add_argument("--keep", action="store_true", help="keep downloads that are needed only once")
    fetch.set_defaults(run=_fetch)
    _add_import(commands)


def _add_import(commands: Commands) -> None:
    parser = commands.add_parser("import-checkpoint", help="convert published weights into a checkpoint")
    parser.add_argument("source", type=Path, nargs="+", metavar="SRC", help="files or folders")
    parser.add_argument("output", type=Path, metavar="DST", help="checkpoint folder, made or completed")
    parser.add_argument(
        "--prediction",
        choices=["wan", "velocity"],
        default="wan",
        help="sign of the transformer's prediction (default: %(default)s, as Wan and the authors' release)",
    )
    parser.add_argument("--timestep", type=float, default=400.0, help="t* (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing checkpoint")
    parser.set_defaults(run=_import_checkpoint)


def _list(options: argparse.Namespace) -> None:
    from vividface.cli.fetch import show_list

    show_list()


def _fetch(options: argparse.Namespace) -> None:
    from vividface.cli.fetch import fetch

    fetch(options.names, accept_licence=options.accept_licence, accepted=options.accept, keep=options.keep)


def _import_checkpoint(options: argparse.Namespace) -> None:
    from vividface.models.conversion import import_checkpoint

    imported = import_checkpoint(
        options.source,
        options.output,
        prediction=options.prediction,
        timestep=options.timestep,
        overwrite=options.overwrite,
    )
    for line in imported.parts:
        print(line)
    if imported.missing:
        print(f"{options.output}: still lacks {', '.join(imported.missing)}; import that as well")
    else:
        print(f"{options.output}: is complete; use it with `vividface enhance --model {options.output}`")
