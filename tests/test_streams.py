"""Steps of a stream in threads of their own."""

import threading

import pytest

from vividface.streams import CallsBehind, StepsAhead


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_items_come_in_order_through_several_steps():
    with StepsAhead() as steps:
        doubled = (2 * item for item in steps(range(100), size=3))
        assert list(steps(doubled, size=1)) == list(range(0, 200, 2))


def test_no_more_than_asked_for_is_made_ahead():
    made, reached = [], threading.Event()

    def items():
        for number in range(50):
            made.append(number)
            if number == 3:
                reached.set()
            yield number

    with StepsAhead() as steps:
        stream = steps(items(), size=3)
        assert next(stream) == 0
        assert reached.wait()
        assert made == [0, 1, 2, 3]
    assert made == [0, 1, 2, 3]


def test_an_error_of_any_step_comes_behind_the_items_before_it():
    def items():
        yield 1
        raise ValueError("broken")

    with StepsAhead() as steps:
        stream = steps((item for item in steps(items(), size=3)), size=3)
        assert next(stream) == 1
        with pytest.raises(ValueError, match="broken"):
            next(stream)


def test_steps_end_with_the_item_that_they_work_on():
    """Also one that waits for many items of the step before it, and its source is closed."""
    closed = []

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    def many(items):
        yield sum(1 for _ in items)

    with StepsAhead() as steps:
        steps(many(steps(endless(), size=2)), size=1)
    assert closed == [True]


def test_calls_run_in_order_behind_the_caller():
    done, go = [], threading.Event()
    with CallsBehind(2) as behind:
        assert behind(go.wait) == []
        assert behind(done.append, 1) == []
        assert done == []
        go.set()
        results = behind(lambda: "a")
        results += behind.finish()
        assert results == [True, None, "a"], "each result is given once"
        assert done == [1]


def test_no_more_calls_wait_than_asked_for():
    go, begun = threading.Event(), []
    with CallsBehind(1) as behind:
        behind(go.wait)
        timer = threading.Timer(0.05, go.set)
        timer.start()
        behind(begun.append, 1)
        assert go.is_set(), "the first call is over"
        timer.join()


@pytest.mark.parametrize("ends_with_error", [False, True])
def test_a_failed_call_is_told_and_none_runs_behind_it(ends_with_error):
    done, go = [], threading.Event()

    def fail():
        go.wait()
        raise OSError("full")

    def write():
        with CallsBehind(2) as behind:
            behind(fail)
            behind(done.append, 1)
            go.set()
            if ends_with_error:
                raise KeyError
            behind.finish()

    with pytest.raises(KeyError if ends_with_error else OSError):
        write()
    assert done == []
