"""Steps of a stream that run beside each other, each in a thread of its own, with bounded queues between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self, TypeVar

Item = TypeVar("Item")

# s: how often a full queue looks whether anybody still wants its items.
_POLL = 0.1


def read_ahead(items: Iterable[Item], *, size: int) -> Iterator[Item]:
    """The items of a stream, which is read in a thread.

    The thread ends with the iterator, also where that is closed before its end. An error of the stream is
    raised behind the items before it.

    Args:
        items: stream to read.
        size: number of items that may wait.
    """
    queue: Queue[tuple[bool, Any]] = Queue(size)
    unwanted = Event()

    def put(entry: tuple[bool, Any]) -> None:
        while not unwanted.is_set():
            with suppress(Full):
                return queue.put(entry, timeout=_POLL)
        return None

    def read() -> None:
        problem: BaseException | None = None
        try:
            for item in items:
                put((True, item))
                if unwanted.is_set():
                    return
        except BaseException as error:
            problem = error
        put((False, problem))

    thread = Thread(target=read, daemon=True)
    thread.start()
    try:
        while True:
            is_item, value = queue.get()
            if is_item:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        unwanted.set()
        with suppress(Empty):
            while True:
                queue.get_nowait()
        thread.join()


class WriteBehind:
    """Runs calls in a thread, one after the other, as a context.

    An error of a call is raised by a later one, or by `finish`. Where the context ends with an error, calls
    that have not begun are dropped.

    Args:
        size: number of calls that may wait.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[Any]] = deque()

    def __call__(self, function: Callable[..., object], *arguments: Any, **options: Any) -> None:
        """Run a function after the calls before it; waits while too many are waiting."""
        self._waiting.append(self._pool.submit(function, *arguments, **options))
        while len(self._waiting) > self._size:
            self._waiting.popleft().result()

    def finish(self) -> None:
        """Wait until all calls are done."""
        while self._waiting:
            self._waiting.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)
