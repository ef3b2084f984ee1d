"""The quality of whole clips."""

import numpy as np
import pytest
import torch
from evaluation.published import fastervqa_state
from scipy.special import expit

from vividface.evaluation.metrics import METRICS, Clip, load_metrics
from vividface.evaluation.metrics.quality import draw_fragments, draw_frames, middle_frames

NAMES = ["fastervqa", "fastervqa_middle"]


def coded_frames(num_frames, height, width):
    """Frames whose pixels say where they are: frame and coarse place, row, column."""
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    frames[..., 0] = np.arange(num_frames)[:, None, None] + 64 * (rows // 256) + 128 * (columns // 256)
    frames[..., 1], frames[..., 2] = rows % 256, columns % 256
    return frames


@pytest.mark.parametrize("num_frames", [64, 71, 72, 81, 250])
def test_frames_are_four_of_every_eighth(num_frames):
    eighth = num_frames // 8
    drawn = [draw_frames(num_frames, np.random.default_rng(seed)).reshape(8, 4) for seed in range(200)]
    for frames in drawn:
        assert (np.diff(frames, axis=1) == 2).all()
        assert (frames // eighth == np.arange(8)[:, None]).all()
    jitter = np.array([frames[:, 0] - np.arange(8) * eighth for frames in drawn])
    assert jitter.min() == 0
    assert jitter.max() == max(eighth - 9, 0)


def test_frames_of_short_clips_go_on_at_the_beginning():
    random = np.random.default_rng(0)
    assert draw_frames(1, random).tolist() == [0] * 32
    assert draw_frames(5, random).reshape(8, 4).tolist() == [[0, 2, 4, 1]] * 8
    pieces = draw_frames(33, random).reshape(8, 4)
    assert pieces[0].tolist() == [0, 2, 4, 6]
    assert pieces[7].tolist() == [28, 30, 32, 1]


def test_middle_frames_are_consecutive():
    assert middle_frames(32).tolist() == list(range(32))
    assert middle_frames(100).tolist() == list(range(34, 66))
    assert middle_frames(20).tolist() == [*range(20), *range(12)]


@pytest.mark.parametrize(("height", "width"), [(224, 224), (360, 480), (512, 512)])
def test_fragments_lie_in_their_cells_and_stay_for_eight_frames(height, width):
    fragments = draw_fragments(coded_frames(32, height, width), np.random.default_rng(0)).astype(int)
    assert fragments.shape == (32, 224, 224, 3)
    assert (fragments[..., 0] % 64 == np.arange(32)[:, None, None]).all()
    rows = fragments[..., 1] + fragments[..., 0] // 64 % 2 * 256
    columns = fragments[..., 2] + fragments[..., 0] // 128 * 256
    tops, lefts = rows[:, ::32, ::32], columns[:, ::32, ::32]
    inner = np.arange(224) % 32
    assert (rows == tops.repeat(32, axis=1).repeat(32, axis=2) + inner[:, None]).all()
    assert (columns == lefts.repeat(32, axis=1).repeat(32, axis=2) + inner).all()
    for starts, side, cells in (
        (tops, height, np.arange(7)[:, None]),
        (lefts, width, np.arange(7)),
    ):
        jitter = starts - side // 7 * cells
        assert jitter.min() == 0
        room = side // 7 - 32
        assert room * 0.8 - 1 <= jitter.max() <= max(room - 1, 0)
        assert (starts.reshape(4, 8, 7, 7) == starts.reshape(4, 8, 7, 7)[:, :1]).all()
        assert len(np.unique(starts[::8].reshape(4, -1), axis=0)) == (4 if room else 1)


@pytest.mark.parametrize(("height", "width"), [(56, 84), (112, 112), (223, 300), (100, 90)])
def test_fragments_of_small_frames_cover_the_whole_frame(height, width):
    """A ramp from side to side is seen from its beginning to its end."""
    frames = np.zeros((32, height, width, 3), np.uint8)
    frames[..., 0] = np.linspace(0, 250, height)[:, None]
    frames[..., 1] = np.linspace(0, 250, width)
    fragments = draw_fragments(frames, np.random.default_rng(0)).astype(int)
    for channel, axis in ((0, 1), (1, 2)):
        levels = fragments[..., channel].mean(axis=(0, 3 - axis))
        assert levels[0] < 25
        assert levels[-1] > 225
        assert (np.diff(levels[16::32]) > 25).all()


def test_draws_follow_from_the_seed():
    frames = coded_frames(32, 300, 300)
    draws = [draw_fragments(frames, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_the_value_is_the_sigmoid_of_the_mean_raw_quality(tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    state = fastervqa_state(np.random.default_rng(0))
    torch.save({"state_dict": state}, tmp_path / "weights" / "fastervqa.pth")
    frames = np.random.default_rng(1).integers(0, 256, (40, 240, 320, 3), dtype=np.uint8)
    clip = Clip(frames=frames, reference=None)
    seen, raw, values = [], [], {}

    def record(_, inputs, maps):
        seen.append(inputs[0])
        raw.append(float(maps.mean()))

    for num_draws in (2, 1):
        metric = METRICS["fastervqa"](num_draws=num_draws)
        metric._network.register_forward_hook(record)
        values[num_draws] = metric.measure(clip)
    first, second, again = seen
    assert torch.equal(first, again), "the same places in every run"
    assert not torch.equal(first, second)
    assert raw[0] != pytest.approx(raw[1], abs=1e-5)
    for num_draws in (1, 2):
        assert 0.01 < values[num_draws] < 0.99
        expected = expit((np.mean(raw[:num_draws]) - 0.14759505) / 0.03613452)
        assert values[num_draws] == pytest.approx(expected, abs=1e-6)
    # Red, green and blue of 0..255 in the units of ImageNet's normalisation.
    for channel, (mean, std) in enumerate(((123.675, 58.395), (116.28, 57.12), (103.53, 57.375))):
        pixels = first[0, channel].numpy() * std + mean
        assert np.allclose(pixels, pixels.round(), atol=1e-3)
        assert pixels.mean() == pytest.approx(127.5, abs=1)
        assert (pixels.min().round(), pixels.max().round()) == (0, 255)


@pytest.mark.parametrize("name", NAMES)
def test_missing_weights_name_the_command(name, monkeypatch, tmp_path):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    ready, missing = load_metrics([name], identity_network="dlib")
    assert not ready
    assert "run `vividface weights fetch fastervqa`" in missing[name]
