"""Frames as tensors of the networks, and back."""

import numpy as np

from vividface.tensors import frames_to_tensor, tensor_to_frames


def test_frames_survive_the_round_trip_through_tensors():
    frames = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    tensor = frames_to_tensor(frames)
    assert tensor.shape == (3, 5, 16, 16)
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    assert np.array_equal(tensor_to_frames(tensor), frames)
