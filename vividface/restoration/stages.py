"""Where the time of an enhancement goes, by stage; the stages run beside each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock, local
from typing import Literal, ParamSpec, TypeVar

Stage = Literal["reading", "faces", "model", "pasting", "writing"]
_Item = TypeVar("_Item")
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class Stages:
    """Seconds that each stage was busy, in whatever thread; of a stage within another to the inner one alone.

    Attributes:
        seconds: seconds by the name of the stage.
    """

    def __init__(self) -> None:
        self.seconds: dict[Stage, float] = {}
        self._lock = Lock()
        self._thread = local()

    @contextmanager
    def running(self, stage: Stage) -> Iterator[None]:
        """Count the time within to a stage, and not to the one around it."""
        outer: tuple[Stage, ...] = getattr(self._thread, "stages", ())
        self._count(outer)
        self._thread.stages = (*outer, stage)
        try:
            yield
        finally:
            self._count(self._thread.stages)
            self._thread.stages = outer

    def iterated(self, stage: Stage, items: Iterable[_Item]) -> Iterator[_Item]:
        """The same items; the time that making them takes counts to a stage."""
        iterator = iter(items)
        while True:
            with self.running(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def called(
        self, stage: Stage, function: Callable[_Parameters, _Result]
    ) -> Callable[_Parameters, _Result]:
        """The same function; the time of its calls counts to a stage."""

        def timed(*arguments: _Parameters.args, **options: _Parameters.kwargs) -> _Result:
            with self.running(stage):
                return function(*arguments, **options)

        return timed

    def _count(self, stages: tuple[Stage, ...]) -> None:
        """Count what passed in this thread to the innermost stage."""
        present = time.perf_counter()
        if stages:
            with self._lock:
                self.seconds[stages[-1]] = self.seconds.get(stages[-1], 0) + present - self._thread.since
        self._thread.since = present
