"""One job at a time: the others wait for their turn, and each can be cancelled."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from vividface.errors import InputError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class State(Enum):
    """What has become of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class CancelledError(Exception):
    """The visitor cancelled the job; raised within its work."""


class Job(Generic[Result]):
    """Work that reports its progress and can be cancelled.

    Args:
        work: function of the job, which calls its `report` and `require_wanted` now and then.
        clock: function that gives the time, s.

    Attributes:
        state: what has become of it.
        step: what it does right now, in words.
        num_done: number of frames that are done.
        num_frames: number of frames in all; 0 before that is known.
        result: what the work gave, once the job is done.
        error: reason why it failed, or empty.
    """

    def __init__(self, work: Callable[[Job[Result]], Result], *, clock: Callable[[], float]) -> None:
        self.state = State.WAITING
        self.step = ""
        self.num_done = self.num_frames = 0
        self.result: Result | None = None
        self.error = ""
        self._work, self._clock = work, clock
        self._began, self._ends = math.nan, math.nan
        self._unwanted, self._over = threading.Event(), threading.Event()
        self._then: list[Callable[[], None]] = []
        self._mutex = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether it is done, cancelled or failed."""
        return self._over.is_set()

    @property
    def is_unwanted(self) -> bool:
        """Whether somebody cancelled it, which it may not have noticed yet."""
        return self._unwanted.is_set()

    @property
    def seconds_left(self) -> float | None:
        """The seconds until all frames are done, at the speed so far; None before the first are."""
        return None if math.isnan(self._ends) else max(self._ends - self._clock(), 0.0)

    def begin_step(self, step: str) -> None:
        """Say what it does from now on; the time left counts from here."""
        self.require_wanted()
        self.step, self._began, self._ends = step, self._clock(), math.nan

    def report(self, num_done: int, num_frames: int) -> None:
        """Say how far it is.

        Args:
            num_done: number of frames that are done.
            num_frames: number of frames in all.

        Raises:
            CancelledError: nobody wants the result any more.
        """
        self.require_wanted()
        self.num_done, self.num_frames = num_done, num_frames
        if num_done:
            now = self._clock()
            self._ends = now + (now - self._began) / num_done * max(num_frames - num_done, 0)

    def require_wanted(self) -> None:
        """Raise `CancelledError` where nobody wants the result any more."""
        if self._unwanted.is_set():
            raise CancelledError

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over; returns whether it is."""
        return self._over.wait(timeout)

    def then(self, function: Callable[[], None]) -> None:
        """Call a function when it is over; at once if it is."""
        with self._mutex:
            if not self._over.is_set():
                self._then.append(function)
                return
        function()

    def cancel(self) -> None:
        """Ask it to stop; it does so at its next report."""
        self._unwanted.set()

    def run(self) -> None:
        """Do the work; whatever goes wrong ends this job alone."""
        try:
            self.require_wanted()
            self.state = State.RUNNING
            result = self._work(self)
            self.require_wanted()
            self.result = result
            self.end(State.DONE)
        except CancelledError:
            self.end(State.CANCELLED)
        except InputError as error:
            self.error = str(error)
            self.end(State.FAILED)
        except Exception:
            logger.exception("an enhancement failed")
            self.error = "Something went wrong here; the terminal in which VividFace runs says what."
            self.end(State.FAILED)

    def end(self, state: State) -> None:
        """Be over, in this state, as soon as those who asked for it know."""
        with self._mutex:
            self.state = state
            for function in self._then:
                function()
            self._over.set()


class Jobs:
    """Jobs in the order in which they came; a thread does them one after the other.

    Args:
        clock: function that gives the time, s.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: deque[Job[object]] = deque()
        self._running: Job[object] | None = None
        self._changed = threading.Condition()
        self._closed = False
        # A daemon, so that a window that takes minutes does not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Job[Result]], Result]) -> Job[Result]:
        """Queue a job.

        Args:
            work: function of the job, which is given the job itself.
        """
        job = Job(work, clock=self._clock)
        with self._changed:
            self._waiting.append(job)  # type: ignore[arg-type]
            self._changed.notify()
        return job

    def num_ahead(self, job: Job[Result]) -> int:
        """The number of jobs that come before a waiting one, the running one included."""
        with self._changed:
            waiting = list(self._waiting)
            return waiting.index(job) + (self._running is not None) if job in waiting else 0  # type: ignore[arg-type]

    def cancel(self, job: Job[Result]) -> None:
        """Cancel a job: at once if it waits, else within the frames that it computes at once."""
        job.cancel()
        with self._changed:
            waits = job in self._waiting
            if waits:
                self._waiting.remove(job)  # type: ignore[arg-type]
        if waits:
            job.end(State.CANCELLED)

    def close(self, *, timeout: float) -> None:
        """Cancel all jobs, and wait for the running one to notice.

        Args:
            timeout: longest wait, s.
        """
        with self._changed:
            self._closed = True
            jobs = [*self._waiting, *([self._running] if self._running else [])]
            self._changed.notify()
        for job in jobs:
            self.cancel(job)
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._running = None
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                self._running = job = self._waiting.popleft()
            job.run()
