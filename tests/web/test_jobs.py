"""One job at a time, its progress, and what ends it."""

import threading

import pytest

from vividface.errors import InputError
from vividface.web.jobs import Jobs, State


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def jobs():
    made = Jobs()
    yield made
    made.close(timeout=10)


def blocking():
    """A job that begins, and goes on once it is told to; it reports as it does."""
    begun, told = threading.Event(), threading.Event()

    def work(job):
        begun.set()
        while not told.wait(0.01):
            job.report(1, 4)
        return "done"

    return work, begun, told


def test_one_at_a_time_in_their_order(jobs):
    work, begun, told = blocking()
    order = []
    first = jobs.submit(work)
    assert begun.wait()
    others = [jobs.submit(lambda _, name=name: order.append(name)) for name in "abc"]
    assert [jobs.num_ahead(job) for job in (first, *others)] == [0, 1, 2, 3]
    assert {job.state for job in others} == {State.WAITING}
    jobs.cancel(others[1])
    assert others[1].state is State.CANCELLED, "it waits no longer"
    assert [jobs.num_ahead(job) for job in others] == [1, 0, 2]
    told.set()
    assert all(job.wait() for job in (first, *others))
    assert (first.state, first.result, order) == (State.DONE, "done", ["a", "c"])


def test_a_running_job_is_cancelled_at_its_next_report(jobs):
    work, begun, _ = blocking()
    after = []
    job = jobs.submit(work)
    job.then(lambda: after.append(job.state))
    assert begun.wait()
    jobs.cancel(job)
    assert job.is_unwanted
    assert job.wait()
    assert (job.state, job.result) == (State.CANCELLED, None)
    job.then(lambda: after.append("late"))
    assert after == [State.CANCELLED, "late"]
    assert jobs.submit(lambda _: 3).wait(), "the next one is not held up"


def test_a_result_that_comes_after_the_cancel_is_not_kept(jobs):
    job = jobs.submit(lambda job: job.cancel() or "done")
    assert job.wait()
    assert (job.state, job.result) == (State.CANCELLED, None)


def test_errors_end_their_own_job_with_a_sentence(jobs, caplog):
    def wrong(_):
        raise InputError("opa.mp4: holds no video frames")

    def broken(_):
        raise ZeroDivisionError("a secret of the server")

    refused, failed = jobs.submit(wrong), jobs.submit(broken)
    assert jobs.submit(lambda _: 3).wait()
    assert (refused.state, refused.error) == (State.FAILED, "opa.mp4: holds no video frames")
    assert failed.state is State.FAILED
    assert "secret" not in failed.error
    assert "a secret of the server" in caplog.text, "the terminal says what"


def test_the_time_left_follows_the_speed_since_the_step_began():
    clock = Clock()
    jobs = Jobs(clock=clock)
    told, seen = threading.Event(), []

    def work(job):
        clock.now += 50
        job.begin_step("Enhancing")
        seen.append(job.seconds_left)
        clock.now += 10
        job.report(20, 100)
        seen.append(job.seconds_left)
        clock.now += 4
        seen.append(job.seconds_left)
        clock.now += 100
        seen.append(job.seconds_left)
        job.report(100, 100)
        seen.append(job.seconds_left)
        told.wait()

    job = jobs.submit(work)
    told.set()
    assert job.wait()
    assert seen == [None, 40, 36, 0, 0]
    jobs.close(timeout=10)
