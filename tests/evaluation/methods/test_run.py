"""Restoring a benchmark with one method."""

import json

import numpy as np
import pandas as pd
import pytest

from vividface.config import load_config
from vividface.evaluation.methods.run import Method, load_method, restore_clips
from vividface.video import read_clip, write_clip


@pytest.fixture
def clips(moving_frames, tmp_path):
    """A clip, and the same at half its size."""
    write_clip(tmp_path / "hq.mkv", moving_frames, 25)
    write_clip(tmp_path / "lq.mkv", np.ascontiguousarray(moving_frames[:, ::2, ::2]), 25)
    return pd.DataFrame(
        {"clip_id": ["a"], "hq": [str(tmp_path / "hq.mkv")], "lq": [str(tmp_path / "lq.mkv")]}
    )


@pytest.fixture
def restoration(repository):
    config = load_config(repository / "config.yaml").restoration
    return config.model_copy(update={"window": 5, "overlap": 2})


def brighter(frames):
    return np.minimum(frames.astype(int) + 20, 255).astype(np.uint8)


def test_a_clip_is_restored_in_windows_at_the_size_of_hq(clips, restoration, tmp_path):
    sizes = []

    def restore(frames):
        sizes.append(len(frames))
        return brighter(frames)

    restore_clips(
        "mine", Method(restore, num_steps=0), clips=clips, config=restoration, output=tmp_path / "out"
    )
    restored = read_clip(tmp_path / "out/a.mkv")
    lq = read_clip(tmp_path / "lq.mkv", size=(64, 64))
    np.testing.assert_array_equal(restored, brighter(lq))
    assert max(sizes) == 5
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert (run["method"], run["num_steps"], run["num_frames"]) == ("mine", 0, {"a": 9})
    assert (run["timed_clip"], run["width"], run["height"]) == ("a", 64, 64)
    assert run["peak_memory_mb"] > 10


def test_colours_of_a_diffusion_model_are_corrected_and_others_left(clips, restoration, tmp_path):
    restoration = restoration.model_copy(update={"colour": "adain"})
    lq = read_clip(tmp_path / "lq.mkv", size=(64, 64)).astype(float)
    for steps in (0, 1):
        output = tmp_path / str(steps)
        method = Method(brighter, num_steps=steps)
        restore_clips("mine", method, clips=clips, config=restoration, output=output)
        change = abs(read_clip(output / "a.mkv").mean((0, 1, 2)) - lq.mean((0, 1, 2))).max()
        assert (change < 0.5) == bool(steps), change


def test_the_untuned_model_returns_its_input_and_the_round_trip_reads_hq(config):
    frames = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    scratch = config.model_copy(update={"model": config.model.model_copy(update={"transformer": None})})
    untuned = load_method("untuned", scratch, checkpoint=None)
    assert (untuned.num_steps, untuned.takes_hq) == (1, False)
    assert abs(untuned.restore(frames).astype(int) - frames).max() <= 1
    round_trip = load_method("autoencoder", config, checkpoint=None)
    assert (round_trip.num_steps, round_trip.takes_hq) == (0, True)
