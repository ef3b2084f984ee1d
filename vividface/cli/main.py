"""The command line: its commands, and how each ends."""

from __future__ import annotations

import argparse
import os
import select
import sys
from collections.abc import Sequence

from vividface import __version__
from vividface.cli import benchmark, enhance, evaluate, methods, rubric, versions, web, weights
from vividface.cli.status import CLOSED_PIPE, FAILED, INTERRUPTED
from vividface.errors import InputError, describe
from vividface.extras import explain_missing
from vividface.models.lean import claim_process

_STDOUT, _STDERR = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: words of the command line behind `vividface`; None takes this process's.

    Returns:
        the exit status: 0; 1 with one line on standard error for bad input; 3 when the input was damaged, so
        that the result is not all of it; 130 when interrupted; 141, quietly, when nobody reads the output.
    """
    if arguments is None:
        claim_process()
    try:
        try:
            return _run(arguments)
        finally:
            _flush_output()
    except BrokenPipeError:
        if not (unread := _unread_outputs()):
            raise
        # Python would write again, and complain, when it ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for output in unread:
            os.dup2(nowhere, output)
        return CLOSED_PIPE


def _run(arguments: Sequence[str] | None) -> int:
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
        is_of_output = isinstance(error, BrokenPipeError) and _unread_outputs()
        if is_of_output or os.environ.get("VIVIDFACE_TRACEBACK"):
            raise
        print(f"error: {describe(error)}", file=sys.stderr)
        return FAILED


def _flush_output() -> None:
    """Write what standard output holds; only a pipe that nobody reads is an error here."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:
        # Python tries again when it ends, and says what is wrong.
        return


def _unread_outputs() -> list[int]:
    """The descriptors of standard output and standard error that are pipes which nobody reads."""
    poll = select.poll()
    for output in (_STDOUT, _STDERR):
        poll.register(output, 0)
    return [output for output, event in poll.poll(0) if event & (select.POLLERR | select.POLLHUP)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("vividface", description="One-step diffusion video face enhancement.")
    parser.add_argument("--version", action="version", version=f"vividface {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (enhance, evaluate, methods, web, benchmark, weights, rubric, versions):
        group.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
