"""The command line: its commands, and how each ends."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from vividface import __version__
from vividface.cli import benchmark, enhance, evaluate, methods, rubric, versions, web, weights
from vividface.cli.status import FAILED, INTERRUPTED
from vividface.errors import InputError, describe
from vividface.extras import explain_missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: words of the command line behind `vividface`; None takes this process's.

    Returns:
        the exit status: 0; 1 with one line on standard error for bad input; 3 when the input was damaged, so
        that the result is not all of it; 130 when interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        if (message := explain_missing(error)) is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("VIVIDFACE_TRACEBACK"):
            raise
        print(f"error: {describe(error)}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("vividface", description="One-step diffusion video face enhancement.")
    parser.add_argument("--version", action="version", version=f"vividface {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (enhance, evaluate, methods, web, benchmark, weights, rubric, versions):
        group.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
