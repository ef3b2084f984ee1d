"""Limits of progress: what still works is waited for, however slow or busy the machine; what hangs fails."""

import contextlib
import signal
import time

import psutil
import pytest

# Share of one core: a test that computes less, over all the seconds of `--timeout`, hangs.
WORKING = 0.01


def _seconds_computed() -> float:
    """The processor's time of this process and of all that it started, s."""
    process = psutil.Process()
    seconds = 0.0
    for each in (process, *process.children(recursive=True)):
        # It may end meanwhile: its time is its parent's then.
        with contextlib.suppress(psutil.Error):
            seconds += sum(each.cpu_times()[:4])
    return seconds


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item, settings):
    """Let the time of `--timeout` begin anew as long as the test, or a process of its own, computes."""
    result = yield
    if settings.method == "signal":
        seen = _seconds_computed()
        fail = signal.getsignal(signal.SIGALRM)

        def look(number, frame):
            __tracebackhide__ = True
            nonlocal seen
            before, seen = seen, _seconds_computed()
            if abs(seen - before) < WORKING * settings.timeout:
                fail(number, frame)

        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, settings.timeout)
    return result


def wait_until(condition, process=None):
    """Wait until a function gives something true; returns it.

    Args:
        condition: function without arguments.
        process: process without which it never gets true.
    """
    while not (value := condition()):
        assert process is None or process.poll() is None, f"the process ended with {process.returncode}"
        time.sleep(0.1)
    return value
