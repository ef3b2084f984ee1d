"""The signals upon which a training saves its state and stops: SLURM's pre-emption, a user's Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

# Before a command that is not to die of them: accelerate's launcher would leave its processes behind.
SHIELD = ("sh", "-c", 'trap "" TERM USR1 INT; exec "$@"', "sh")


@contextmanager
def on_signal(action: Callable[[], object]) -> Iterator[None]:
    """Call `action` upon one of the signals, instead of dying of it."""

    def handle(_: int, __: FrameType | None) -> None:
        action()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals(_: int) -> None:
    """Let a data loader's worker ignore the signals, which SLURM sends to every process of a job.

    The batches that it reads are needed until the state is saved.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
