"""The commands `weights`, third-party weights in the cache, and `import-checkpoint`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vividface.cli.types import Commands


def add_commands(commands: Commands) -> None:
    """Add the commands to the parser's."""
    weights = commands.add_parser("weights", help="third-party weights: list them, or fetch some")
    actions = weights.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="all third-party weights, and which are in the cache")
    listing.set_defaults(run=_list)
    fetch = actions.add_parser("fetch", help="download into the cache and verify")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="a file, or a group such as lpips_alex")
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
    from vividface.weights.cache import is_cached
    from vividface.weights.catalogue import CATALOGUE

    for name, file in sorted(CATALOGUE.items()):
        print(f"{name:24} {'cached' if is_cached(name) else 'not fetched':12} {file.what}")


def _fetch(options: argparse.Namespace) -> None:
    from vividface.weights.cache import fetch_group

    for name in options.names:
        for path in fetch_group(name).values():
            print(path)


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
