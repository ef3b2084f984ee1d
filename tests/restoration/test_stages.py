"""Where the time of an enhancement goes."""

import time
from threading import Thread

import pytest

from vividface.restoration.stages import Stages

from .helpers import run


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""
    present = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: present[0])

    def pass_time(seconds):
        present[0] += seconds

    return pass_time


def test_a_stage_within_another_counts_to_the_inner_one(clock):
    stages = Stages()
    clock(1)
    with stages.running("pasting"):
        clock(2)
        with stages.running("model"):
            clock(4)
        clock(8)
    clock(16)
    assert stages.seconds == {"pasting": 10, "model": 4}
    with pytest.raises(KeyError), stages.running("model"):
        clock(1)
        raise KeyError
    assert stages.seconds == {"pasting": 10, "model": 5}


def test_making_items_counts_and_using_them_does_not(clock):
    stages = Stages()

    def items():
        for item in range(3):
            clock(1)
            yield item

    for _ in stages.iterated("reading", items()):
        clock(10)
    assert stages.seconds == {"reading": 3}
    assert stages.called("writing", lambda seconds: clock(seconds) or 7)(5) == 7
    assert stages.seconds == {"reading": 3, "writing": 5}


def test_threads_count_by_themselves():
    stages = Stages()

    def write():
        with stages.running("writing"):
            time.sleep(0.02)

    with stages.running("model"):
        thread = Thread(target=write)
        thread.start()
        thread.join()
    assert stages.seconds["model"] >= stages.seconds["writing"] >= 0.02


def test_an_enhancement_says_where_its_time_went(video, tmp_path):
    result = run(video, tmp_path / "new.mp4")
    assert result.stages.keys() == {"reading", "model", "pasting", "writing"}, "the mode crop finds no faces"
    assert all(0 < seconds < result.seconds for seconds in result.stages.values())
