"""Windows on their way through the steps: reading, faces, the model and pasting beside each other."""

import signal
import threading

import numpy as np
import pytest

from vividface.config import EnhanceConfig
from vividface.errors import InputError
from vividface.faces.base import Face, Region
from vividface.restoration.enhance import Interrupted, enhance
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.opening import open_source
from vividface.restoration.precision import NotFiniteError

from .helpers import WINDOWS, brighten, encode, run

COUNT = 80


@pytest.fixture
def long_video(tmp_path):
    return encode(tmp_path / "long.mp4", count=COUNT)


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert left <= {"tqdm_monitor"}


class Still:
    """Finds one face, which never moves; tells how many frames were looked at, and faces were parsed."""

    num_landmarks, same_person = 5, 0.9

    def __init__(self):
        self.changed = threading.Condition()
        self.num_looks, self.num_parsed = 0, 0

    def detect(self, frames):
        with self.changed:
            self.num_looks += len(frames)
            self.changed.notify_all()
        box = np.array([18, 8, 48, 38], np.float32)
        return [[Face(box, np.repeat(box.reshape(2, 2), [3, 2], axis=0), 1.0)] for _ in frames]

    def parse(self, frames, faces):
        with self.changed:
            self.num_parsed += len(frames)
            self.changed.notify_all()
        return np.full((len(frames), *frames[0].shape[:2]), Region.FACE, np.uint8)

    def embed(self, frames, faces):
        return np.ones((len(faces), 1), np.float32)

    def require_identity(self):
        pass

    def wait(self, *, looks, parsed):
        """Until so much is done."""
        with self.changed:
            self.changed.wait_for(lambda: self.num_looks >= looks and self.num_parsed >= parsed)


def looks_until(frame):
    """Looks before a frame is ready: in the first frame, and in two of every eight."""
    return 1 + 2 * -(-frame // 8)


def enhanced(source, output, backend, restore, *, face="all", **options):
    restorer = FaceRestorer(restore=restore, size=64, clip_frames=9, backend=backend, fingerprint={})
    config = WINDOWS.model_copy(update={"face": face})
    return enhance(open_source(source), output, restorer=restorer, config=config, **options)


def test_while_the_model_works_the_next_window_is_prepared_and_the_last_one_pasted(long_video, tmp_path):
    backend, calls = Still(), []

    def restore(frames):
        """Works until the steps around it have done what the model would wait for: else the test hangs."""
        calls.append(len(frames))
        next_window = min(9 + 7 * len(calls), COUNT)
        backend.wait(looks=looks_until(next_window), parsed=9 * (len(calls) - 1))
        return brighten(frames)

    result = enhanced(long_video, tmp_path / "new.mp4", backend, restore)
    assert calls == [9] * 12
    assert result.num_faces == COUNT


def test_no_step_runs_further_ahead_than_windows_that_fit_in_memory(long_video, tmp_path):
    backend, most, calls = Still(), [], []

    def restore(frames):
        calls.append(1)
        # The slower the model is, the further the steps would run ahead of it.
        backend.wait(looks=looks_until(min(9 + 7 * len(calls), COUNT)), parsed=0)
        most.append(backend.num_looks // 2 * 8 - 7 * (len(calls) - 1))
        return brighten(frames)

    enhanced(long_video, tmp_path / "new.mp4", backend, restore)
    # The window itself, the next one, and what waits before and behind the search for faces, in batches of 8.
    assert max(most[:-4]) <= 9 + 7 + 4 * 8


@pytest.mark.parametrize("step", ["detect", "embed", "parse"])
def test_an_error_of_any_step_ends_the_run(step, long_video, tmp_path, monkeypatch):
    backend, calls = Still(), []

    def fail(*arguments):
        raise RuntimeError(f"{step} broke")

    def restore(frames):
        calls.append(1)
        if len(calls) == 2:
            monkeypatch.setattr(backend, step, fail)
        return brighten(frames)

    with pytest.raises(RuntimeError, match=f"{step} broke"):
        enhanced(long_video, tmp_path / "out" / "new.mp4", backend, restore, face="largest")
    assert len(calls) < 8
    assert not list((tmp_path / "out").iterdir())


def test_nobody_is_embedded_where_all_faces_are_restored(long_video, tmp_path, monkeypatch):
    backend, embedded = Still(), []
    monkeypatch.setattr(
        backend, "embed", lambda frames, faces: embedded.append(1) or Still.embed(backend, frames, faces)
    )
    enhanced(long_video, tmp_path / "all.mp4", backend, brighten)
    assert not embedded
    enhanced(long_video, tmp_path / "largest.mp4", backend, brighten, face="largest")
    assert len(embedded) == -(-(COUNT - 2) // 7), "in each window"


def test_ctrl_c_while_the_model_works_ends_all_steps(long_video, tmp_path):
    calls = []

    def restore(frames):
        calls.append(1)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        return brighten(frames)

    with pytest.raises(Interrupted, match="interrupted: the first 21 frames are in"):
        enhanced(long_video, tmp_path / "new.mp4", Still(), restore)
    assert len(calls) == 4


@pytest.mark.parametrize("mode", ["full", "crop"])
def test_values_that_are_not_finite_are_told_by_the_frames_of_the_video(mode, long_video, tmp_path):
    calls = []

    def restore(frames):
        calls.append(1)
        if len(calls) == 3:
            raise NotFiniteError([2, 3, 4])
        return frames

    with pytest.raises(InputError, match=r"long\.mp4: frames 16 to 18: the model's result is not finite"):
        if mode == "full":
            enhanced(long_video, tmp_path / "new.mp4", Still(), restore)
        else:
            run(long_video, tmp_path / "new.mp4", restore, config=EnhanceConfig(window=9, overlap=2))
