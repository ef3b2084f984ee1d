"""The commands `methods`: published methods, listed, fetched, checked and run."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vividface.errors import InputError

if TYPE_CHECKING:
    from vividface.cli.types import Commands
    from vividface.evaluation.methods.installation import Installation

_COLUMNS = "{:20} {:30} {:16} {}"


def add_commands(commands: Commands) -> None:
    """Add the commands to the parser's."""
    methods = commands.add_parser("methods", help="published methods: run their own programs to compare with")
    actions = methods.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="all of them, their licences, and what is missing here")
    listing.set_defaults(run=_list)
    fetch = actions.add_parser("fetch", help="bring a method's code, environment and weights")
    fetch.set_defaults(run=_fetch)
    check = actions.add_parser(
        "check", help="try a method's code, environment and arguments, not its weights"
    )
    check.set_defaults(run=_check)
    run = actions.add_parser("run", help="restore a folder of videos with a method")
    run.set_defaults(run=_run)
    for parser in (fetch, check, run):
        parser.add_argument("name", metavar="NAME", help="name of the method, or a description's .yaml file")
        parser.add_argument(
            "--accept",
            action="append",
            default=[],
            metavar="LICENCE",
            help="a licence that you have read and accept, as `methods list` names it; may be repeated",
        )
    add = run.add_argument
    add("input", type=Path, metavar="IN", help="a folder of videos or of folders of frames, or one of either")
    add(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder of the results, which is made"
    )
    add("--fps", type=float, default=25.0, help="frame rate of folders of frames (default: %(default)s)")
    add(
        "--faces",
        choices=["mediapipe", "dlib", "facexlib"],
        default="mediapipe",
        help="what finds the faces for a method of aligned faces (default: %(default)s)",
    )


def _installation(options: argparse.Namespace) -> Installation:
    from vividface.evaluation.methods.catalogue import published_method
    from vividface.evaluation.methods.installation import Installation

    return Installation.of(options.name, published_method(options.name))


@contextmanager
def _program_log(installation: Installation) -> Iterator[None]:
    """Keep what programs of others print in the method's `log.txt`, which an error then names."""
    path = installation.folder / "log.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    logger = logging.getLogger("vividface.evaluation.methods")
    handler = logging.FileHandler(path, delay=True)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except InputError as error:
        raise InputError(f"{error}; all output is in {path}" if path.exists() else str(error)) from None
    finally:
        logger.removeHandler(handler)
        handler.close()


def _list(options: argparse.Namespace) -> None:
    from vividface.evaluation.methods.catalogue import published_methods
    from vividface.evaluation.methods.installation import Installation

    print(_COLUMNS.format("name", "method", "reads", "licence to accept"))
    for name, method in published_methods().items():
        accept = [licence.id for licence in method.to_accept()]
        kind = f"{method.input.kind}{', aligned' if method.input.protocol == 'aligned' else ''}"
        print(_COLUMNS.format(name, method.title, kind, ", ".join(accept) or "none"))
        for reason in Installation.of(name, method).missing(accept):
            print(f"{'':20} missing: {reason.removeprefix(f'{name}: ')}")


def _fetch(options: argparse.Namespace) -> None:
    from vividface.downloads import Lock, cache_directory

    installation = _installation(options)
    with _program_log(installation):
        installation.fetch(options.accept, Lock(cache_directory() / "methods/lock.json"))
    print(f"{options.name}: is fetched, in {installation.folder}")


def _check(options: argparse.Namespace) -> None:
    from vividface.evaluation.methods.checking import check_arguments, check_options, check_timed
    from vividface.evaluation.methods.checkout import fetch_source

    installation = _installation(options)
    if refused := installation.refusals(options.accept):
        raise InputError(refused[0])
    with _program_log(installation):
        fetch_source(installation.method, installation.source)
        print(f"{options.name}: the code is at commit {installation.method.commit}, with every patch")
        if unknown := check_options(installation):
            raise InputError(
                f"{options.name}: its code names no option {', '.join(unknown)}; correct `commands`"
            )
        print(f"{options.name}: its code names every option that is given")
        installation.prepare(options.accept)
        print(f"{options.name}: the environment is complete")
        if undefined := check_timed(installation):
            raise InputError(f"{options.name}: nothing defines {', '.join(undefined)}; correct `timed`")
        if installation.method.timed:
            print(f"{options.name}: its code or its packages define every function that is timed")
        check_arguments(installation)
        print(f"{options.name}: its program takes its arguments")


def _run(options: argparse.Namespace) -> None:
    output: Path = options.output
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: exists already; give a new folder")
    from vividface.config import FacesConfig
    from vividface.evaluation.footage import find_footage
    from vividface.evaluation.methods.benchmark import protocol_of
    from vividface.evaluation.methods.external import DegradedClip, restore_with_published

    installation = _installation(options)
    method = installation.method
    if missing := installation.missing(options.accept):
        raise InputError(missing[0])
    clips = [
        DegradedClip(name, footage.read, footage.fps(options.fps))
        for name, footage in find_footage(options.input).items()
    ]
    aligned = protocol_of(method, FacesConfig.of_backend(options.faces))
    settings = options.faces if aligned is not None else None
    with _program_log(installation):
        restore_with_published(installation, clips, output, aligned=aligned, settings=settings)
    print(f"{output}: {len(clips)} videos restored with {method.title}")
