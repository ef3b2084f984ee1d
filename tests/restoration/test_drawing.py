"""Input and result side by side."""

import numpy as np

from vividface.restoration.drawing import side_by_side


def test_side_by_side_is_readable_at_any_size():
    small = np.zeros((64, 80, 3), np.uint8)
    assert side_by_side(small, small, titles=("a", "b")).shape == (256, 640, 3)
    large = np.zeros((512, 512, 3), np.uint16)
    assert side_by_side(large, large, titles=("a", "b")).shape == (512, 1024, 3)
