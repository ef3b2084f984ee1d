"""Steps of a stream in threads of their own."""

import threading

import pytest

from vividface.streams import WriteBehind, read_ahead


def test_items_come_in_order_and_the_thread_ends():
    before = threading.active_count()
    assert list(read_ahead(iter(range(100)), size=3)) == list(range(100))
    assert threading.active_count() == before


def test_no_more_than_the_queue_holds_is_read_ahead():
    read, reached = [], threading.Event()

    def items():
        for number in range(50):
            read.append(number)
            if number == 4:
                reached.set()
            yield number

    stream = read_ahead(items(), size=3)
    assert next(stream) == 0
    # Taken: 0; waiting: 1 to 3; in the reader's hand: 4.
    assert reached.wait(10)
    assert len(read) == 5
    stream.close()
    assert len(read) <= 6


def test_an_error_comes_behind_the_items_before_it():
    def items():
        yield 1
        raise ValueError("broken")

    stream = read_ahead(items(), size=3)
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        next(stream)


def test_calls_run_in_order_behind_the_caller():
    done, go = [], threading.Event()
    with WriteBehind(2) as behind:
        behind(go.wait, 10)
        behind(done.append, 1)
        assert done == []
        go.set()
        behind(done.append, 2)
        behind.finish()
        assert done == [1, 2]


def test_a_failed_call_is_told_and_the_waiting_ones_are_dropped():
    done, go = [], threading.Event()

    def fail():
        go.wait(10)
        raise OSError("full")

    def write():
        with WriteBehind(2) as behind:
            behind(fail)
            behind(done.append, 1)
            go.set()
            behind.finish()

    with pytest.raises(OSError, match="full"):
        write()
    assert threading.active_count() >= 1
    assert done in ([], [1])
