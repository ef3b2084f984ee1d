import numpy as np
import pytest

from vividface.models.autoencoders import DCTAutoencoder
from vividface.restoration.pipeline import OneStepRestorer
from vividface.restoration.windows import restore_stream


def numbered(count):
    return [np.full((4, 4, 3), index, np.uint8) for index in range(count)]


@pytest.mark.parametrize("count", [0, 1, 4, 8, 9, 10, 14, 15, 23])
@pytest.mark.parametrize("overlap", [0, 3])
def test_every_frame_comes_out_once_and_in_order(count, overlap):
    restored = list(restore_stream(numbered(count), lambda frames: frames, 9, overlap))
    assert [int(frame[0, 0, 0]) for frame in restored] == list(range(count))


def test_windows_are_bounded_and_blended():
    sizes = []

    def restore(frames):
        sizes.append(len(frames))
        return np.full_like(frames, 100 * len(sizes))

    values = [int(f[0, 0, 0]) for f in restore_stream(numbered(15), restore, 9, 3)]
    assert max(sizes) <= 9
    assert values[:6] == [100] * 6
    assert values[6:9] == [125, 150, 175]
    assert values[9:] == [200] * 6


@pytest.mark.parametrize("shape", [(1, 16, 16), (5, 32, 48), (7, 33, 50), (2, 5, 9)])
def test_padding_is_cut_back_and_the_round_trip_is_exact(shape):
    frames = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    restored = OneStepRestorer(None, DCTAutoencoder())(frames)
    assert np.array_equal(restored, frames)
