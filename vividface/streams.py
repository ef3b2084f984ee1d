"""Steps of a stream that run beside each other, each in a thread of its own, with bounded queues between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self, TypeVar

Item = TypeVar("Item")


class _StoppedError(BaseException):
    """Nobody wants the items any more."""


class StepsAhead:
    """Steps of a stream that run ahead of the caller, as a context.

    Where the context ends, each step ends behind the item that it works on, and no thread is left.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._is_stopped = False
        self._threads: list[Thread] = []

    def __call__(self, items: Iterable[Item], *, size: int) -> Iterator[Item]:
        """The items of a step, which runs in a thread from now on.

        An error of the step is raised behind the items before it.

        Args:
            items: items as the step makes them, from those of the step before it.
            size: number of items that are made before they are asked for.
        """
        waiting: deque[tuple[bool, Any]] = deque()
        thread = Thread(target=self._make, args=(items, waiting, size), daemon=True)
        self._threads.append(thread)
        thread.start()
        return self._taken(waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _make(self, items: Iterable[Item], waiting: deque[tuple[bool, Any]], size: int) -> None:
        """Put items, each with True, then False with the error that ended them, or None."""
        source = iter(items)
        problem: BaseException | None = None
        try:
            while True:
                self._wait_until(lambda: len(waiting) < size)
                self._put(waiting, (True, next(source)))
        except StopIteration:
            pass
        except BaseException as error:
            problem = error
        self._put(waiting, (False, problem))
        if (close := getattr(source, "close", None)) is not None:
            close()

    def _taken(self, waiting: deque[tuple[bool, Any]]) -> Iterator[Any]:
        while True:
            self._wait_until(lambda: bool(waiting))
            is_item, value = waiting.popleft()
            if is_item:
                with self._changed:
                    self._changed.notify_all()
                yield value
            elif value is None:
                return
            else:
                raise value

    def _wait_until(self, is_ready: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or is_ready())
            if self._is_stopped:
                raise _StoppedError

    def _put(self, waiting: deque[tuple[bool, Any]], entry: tuple[bool, Any]) -> None:
        with self._changed:
            waiting.append(entry)
            self._changed.notify_all()


class CallsBehind:
    """Runs calls in a thread, one after the other, as a context.

    An error of a call is raised by a later one, or by `finish`; calls behind it are dropped, and so are those
    that have not begun where the context ends with an error.

    Args:
        size: number of calls that may wait.
    """

    def __init__(self, size: int) -> None:
        self._size, self._has_failed = size, False
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[Any]] = deque()

    def __call__(self, function: Callable[..., object], *arguments: Any, **options: Any) -> list[Any]:
        """Run a function after the calls before it; waits while too many are waiting.

        Returns:
            results of the calls that are over, in order, each once.
        """
        self._waiting.append(self._pool.submit(self._run, function, *arguments, **options))
        return self._over(self._size)

    def finish(self) -> list[Any]:
        """Wait until all calls are done; returns the results of the last ones, as a call does."""
        return self._over(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def _run(self, function: Callable[..., object], *arguments: Any, **options: Any) -> object:
        if self._has_failed:
            return None
        try:
            return function(*arguments, **options)
        except BaseException:
            self._has_failed = True
            raise

    def _over(self, num_waiting: int) -> list[Any]:
        """Results of the calls before the last `num_waiting`, and of those of the last that are over."""
        results = []
        while self._waiting and (len(self._waiting) > num_waiting or self._waiting[0].done()):
            results.append(self._waiting.popleft().result())
        return results
