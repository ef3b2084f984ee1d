"""Frames as tensors of the networks, and back."""

import numpy as np
import pytest

from vividface.tensors import frames_to_tensor, tensor_to_frames


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_frames_survive_the_round_trip_through_tensors(dtype):
    frames = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (5, 16, 16, 3), dtype=dtype)
    tensor = frames_to_tensor(frames)
    assert tensor.shape == (3, 5, 16, 16)
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    restored = tensor_to_frames(tensor, dtype)
    assert restored.dtype == dtype
    assert np.array_equal(restored, frames)
