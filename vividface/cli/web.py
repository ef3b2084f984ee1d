"""The command `web`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vividface.cli.types import Commands

_TITLES = {"nano": "Quick (nano)", "vividface-1.3b": "Best, for a GPU (vividface-1.3b)"}


def add_commands(commands: Commands) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("web", help="enhance videos and photos on a page in the browser")
    parser.set_defaults(run=_run)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, for this computer)")
    add("--port", type=int, default=7860, help="port to listen at (default: %(default)s; 0: any)")
    add("--model", metavar="NAME|FOLDER", help="model that is chosen at first; as of enhance")
    add(
        "--max-upload-mb",
        type=int,
        default=2000,
        metavar="MB",
        help="size of the largest upload (default: %(default)s)",
    )
    add("--examples", type=Path, metavar="FOLDER", help="videos to try it with (default: the demo's)")
    add("--open", action=argparse.BooleanOptionalAction, default=False, help="open the page in a browser")


def _run(options: argparse.Namespace) -> None:
    from vividface.extras import require

    require("gradio")
    models = _models(options.model)
    from vividface.web.examples import find_examples
    from vividface.web.server import ServerOptions, serve

    serve(
        ServerOptions(
            host=options.host,
            port=options.port,
            max_upload_mb=options.max_upload_mb,
            open_browser=options.open,
        ),
        models=models,
        examples=find_examples(options.examples),
    )


def _models(chosen: str | None) -> dict[str, str]:
    """The titles of the models that are there, the chosen one first."""
    from vividface.devices import choose_device
    from vividface.models.lean import lean_diffusers

    with lean_diffusers():
        from vividface.restoration.loading import MODELS, checkpoint_folder, default_model, is_here
    first = chosen or default_model(choose_device("auto"))
    checkpoint_folder(first)
    names = dict.fromkeys([first, *(name for name in MODELS if is_here(name))])
    return {name: _TITLES.get(name, Path(name).name) for name in names}
