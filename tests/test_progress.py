"""The limit of every test: a hang fails, slow work does not."""

import signal
import subprocess
import sys

import psutil
import pytest
from progress import wait_until
from pytest_timeout import Settings

# s; 0.3 s of the processor within it is progress.
TIMEOUT = 30
WORK = "import time\nwhile time.process_time() < 0.5: pass"


@pytest.fixture
def end_the_time(request):
    """The limit that every test has, set anew for this one, whose end no clock but the function reaches."""
    settings = Settings(TIMEOUT, "signal", func_only=False, disable_debugger_detection=True)
    request.config.pluginmanager.hook.pytest_timeout_set_timer(item=request.node, settings=settings)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return lambda: signal.raise_signal(signal.SIGALRM)


def test_a_test_whose_processes_work_goes_on_and_one_that_waits_fails(end_the_time):
    subprocess.run([sys.executable, "-c", WORK], check=True)
    end_the_time()
    with subprocess.Popen([sys.executable, "-c", f"{WORK}\ninput()"], stdin=subprocess.PIPE) as process:
        wait_until(lambda: sum(psutil.Process(process.pid).cpu_times()[:2]) > 0.4, process)
        end_the_time()
        with pytest.raises(pytest.fail.Exception, match=r"Timeout \(>30"):
            end_the_time()
        process.stdin.close()


def test_what_a_dead_process_would_have_done_is_not_waited_for():
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process,
        pytest.raises(AssertionError, match="the process ended with 3"),
    ):
        wait_until(lambda: False, process)
    assert wait_until(iter([0, 7]).__next__) == 7
