"""Running the programs of others: their output goes to the log, its last lines into the error."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from vividface.errors import InputError

logger = logging.getLogger(__name__)

# Lines of a program's output that an error repeats.
_LAST_LINES = 3


def run_program(
    command: Sequence[str], *, title: str, folder: Path, variables: Mapping[str, str] | None = None
) -> str:
    """Run a program to its end; where this process is stopped, by a signal too, it and what it runs end.

    Args:
        command: command line.
        title: name of what runs, for messages.
        folder: working directory.
        variables: environment variables beside this process's.

    Returns:
        what it printed, standard output and error together.

    Raises:
        InputError: it cannot be started, or ends with another status than 0.
    """
    logger.info("%s: %s", title, shlex.join(command))
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise InputError(
            f"{title}: `{command[0]}` cannot be started ({error.strerror}); install it"
        ) from None
    printed, last = [], deque[str](maxlen=_LAST_LINES)
    with process, _terminable():
        assert process.stdout is not None
        try:
            # Progress bars end their lines with a carriage return, which counts as a line's end here.
            for line in process.stdout:
                logger.info("%s", line.rstrip())
                printed.append(line)
                if line.strip():
                    last.append(line.strip())
        except BaseException:
            # A launcher's workers are in its session; they would go on computing.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        # The log has its path.
        shown = _shortened(shlex.join([Path(command[0]).name, *command[1:]]))
        raise InputError(f"{title}: `{shown}` ends with status {process.returncode}: {' | '.join(last)}")
    return "".join(printed)


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise SystemExit at SIGTERM, as Python does nothing at all before it ends; in the main thread alone."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _shortened(text: str, length: int = 120) -> str:
    return text if len(text) <= length else f"{text[:length]} ..."
