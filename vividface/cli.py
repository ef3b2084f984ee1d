"""The command `vividface`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vividface.errors import InputError

if TYPE_CHECKING:
    from vividface.restoration.pipeline import OneStepRestorer

_DEFAULT_WEIGHTS = Path("checkpoints/main/pixel_stage")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status, 1 with one line on standard error for bad input."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing half-written is left; run the command again", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("vividface", description="One-step diffusion video face enhancement.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    enhance = commands.add_parser("enhance", help="enhance a face video (a crop of the face)")
    enhance.add_argument("input", type=Path, metavar="INPUT")
    enhance.add_argument("-o", "--output", type=Path, required=True)
    enhance.add_argument(
        "--weights", type=Path, default=_DEFAULT_WEIGHTS, help="checkpoint folder (default: %(default)s)"
    )
    enhance.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    enhance.add_argument("--window", type=int, default=33, help="frames at once, 1 + a multiple of 4")
    enhance.add_argument("--overlap", type=int, default=8, help="frames blended between windows")
    enhance.add_argument("--compare", type=Path, help="also write input and output side by side")
    enhance.add_argument("--overwrite", action="store_true")
    enhance.set_defaults(run=_enhance)

    assets = commands.add_parser("assets", help="third-party weights: list them, or fetch some")
    actions = assets.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="what is known, and what is in the cache")
    listing.set_defaults(run=_list_assets)
    fetch = actions.add_parser("fetch", help="download into the cache and verify")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    fetch.set_defaults(run=_fetch_assets)
    return parser


def _enhance(options: argparse.Namespace) -> None:
    from vividface.config import RestorationConfig
    from vividface.restoration.enhance import enhance_video

    try:
        windows = RestorationConfig(window=options.window, overlap=options.overlap)
    except ValueError as error:
        message = str(error).splitlines()
        raise InputError(f"--window, --overlap: {message[2].strip()}") from None
    restore = _load(options.weights, options.device)
    enhanced = enhance_video(
        options.input,
        options.output,
        restore,
        windows.window,
        windows.overlap,
        options.compare,
        options.overwrite,
    )
    rate = enhanced.frames / enhanced.seconds
    print(f"{enhanced.output}: {enhanced.frames} frames in {enhanced.seconds:.1f} s ({rate:.1f} frames/s)")


def _load(weights: Path, device: str) -> OneStepRestorer:
    import torch

    from vividface.restoration.pipeline import OneStepRestorer

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InputError("--device cuda: no CUDA device is visible; use --device cpu")
    chosen = "cuda" if device == "cuda" or (device == "auto" and available) else "cpu"
    return OneStepRestorer.from_checkpoint(weights, chosen)


def _list_assets(options: argparse.Namespace) -> None:
    from vividface.assets import is_cached
    from vividface.assets.catalogue import ASSETS

    for name, asset in sorted(ASSETS.items()):
        print(f"{name:24} {'cached' if is_cached(name) else 'not fetched':12} {asset.what}")


def _fetch_assets(options: argparse.Namespace) -> None:
    from vividface.assets import fetch_asset
    from vividface.assets.catalogue import ASSETS, GROUPS

    for name in options.names:
        if name not in GROUPS and name not in ASSETS:
            raise InputError(f"{name}: no such asset; `vividface assets list` names all")
        for asset in GROUPS.get(name, [name]):
            print(fetch_asset(asset))


if __name__ == "__main__":
    sys.exit(main())
