"""A program for a published method's Python: run a script up to the end of its parser, and nothing behind it.

Usage: python parse_only.py SCRIPT ARGUMENTS ...
"""

import argparse
import os
import runpy
import sys
from typing import Any, NoReturn

ACCEPTED = "vividface: the arguments are accepted"
_parse = argparse.ArgumentParser.parse_args


def _stop(parser: argparse.ArgumentParser, *arguments: Any, **options: Any) -> NoReturn:
    _parse(parser, *arguments, **options)
    print(ACCEPTED, flush=True)
    os._exit(0)


if __name__ == "__main__":
    argparse.ArgumentParser.parse_args = _stop  # type: ignore[method-assign, assignment]
    sys.argv = sys.argv[1:]
    # As if Python had been given the script itself.
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))  # noqa: PTH100, PTH120
    runpy.run_path(sys.argv[0], run_name="__main__")
