"""A benchmark restored with a published method, or the reason why not."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation.methods.stub import COMMAND, PROGRAM, describe, installation_of, make_repository

from vividface.config import FacesConfig
from vividface.downloads import Lock
from vividface.errors import InputError
from vividface.evaluation.methods import benchmark
from vividface.evaluation.runs import Run
from vividface.video import read_clip, write_clip

FACES = FacesConfig.of_backend("mediapipe")


@pytest.fixture
def stub(tmp_path):
    """`stub(**keys)`: the stub with these keys of its description."""
    commit = make_repository(tmp_path / "code", {"restore.py": PROGRAM})

    def make(**keys):
        return installation_of({**describe(tmp_path / "code", commit, "frames"), **keys}, tmp_path)

    return make


@pytest.fixture
def clips(moving_frames, tmp_path):
    """A clip whose degraded file is half the size of its true one."""
    write_clip(tmp_path / "hq/a.mkv", moving_frames, 30)
    write_clip(tmp_path / "lq/a.mkv", moving_frames[:, ::2, ::2], 25)
    return pd.DataFrame(
        [{"clip_id": "a", "lq": str(tmp_path / "lq/a.mkv"), "hq": str(tmp_path / "hq/a.mkv")}]
    )


def restore(installation, clips, folder, accepted=()):
    lock = Lock(folder / "lock.json")
    benchmark.fetch_for_benchmarks(installation, folder / "fetched.json", accepted=accepted, lock=lock)
    benchmark.restore_benchmark(
        installation, folder / "fetched.json", clips=clips, faces_config=FACES, output=folder / "out"
    )
    return Run.read(folder / "out"), json.loads((folder / "fetched.json").read_text())


def test_clips_are_restored_at_the_size_of_the_truth(stub, clips, tmp_path):
    run, fetched = restore(stub(), clips, tmp_path)
    assert (run.missing, run.num_frames, run.width) == ("", {"a": 9}, 64)
    assert read_clip(tmp_path / "out/a.mkv").shape == (9, 64, 64, 3)
    assert fetched["missing"] == ""
    assert fetched["packages"][0].startswith("python==")


def test_what_is_fetched_is_told_without_places_or_times(stub, clips, tmp_path):
    _, fetched = restore(stub(), clips, tmp_path)
    assert str(tmp_path) not in json.dumps(fetched)
    _, again = restore(stub(), clips, tmp_path)
    assert again == fetched


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"licences": [{"id": "mine", "title": "M", "page": "p"}]}, "its licence mine (M) is not accepted"),
        ({"weights": [{"kind": "hand", "page": "p", "file": "f", "path": "f"}]}, "needs f, which no program"),
        ({"commit": "0" * 40}, "ends with status 128"),
        ({"environment": {"python": "3.99", "packages": []}}, "needs Python 3.99"),
    ],
)
def test_what_is_missing_stops_nothing_and_is_told(stub, clips, tmp_path, monkeypatch, keys, reason):
    monkeypatch.setattr("shutil.which", lambda program: None)
    run, fetched = restore(stub(**keys), clips, tmp_path)
    assert reason in run.missing
    assert run.missing == fetched["missing"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_told(stub, clips, tmp_path):
    run, fetched = restore(stub(needs_gpu=True), clips, tmp_path)
    assert run.missing.endswith("runs on a GPU alone, and none is visible here")
    assert fetched["missing"] == ""


def test_a_program_that_fails_is_an_error(stub, clips, tmp_path):
    with pytest.raises(InputError, match="no such device"):
        restore(stub(commands=[[*COMMAND, "--fail"]]), clips, tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_frames_are_those_of_the_degraded_clip(stub, clips, tmp_path, moving_frames):
    restore(stub(), clips, tmp_path)
    degraded = read_clip(clips["lq"][0], size=(64, 64))
    np.testing.assert_array_equal(read_clip(tmp_path / "out/a.mkv"), degraded)
