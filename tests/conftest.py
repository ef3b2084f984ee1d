"""Fixtures that several test files use."""

import os
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real clips and weights, where the environment variable VIVIDFACE_SHARED names their folder."""
    folder = os.environ.get("VIVIDFACE_SHARED")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VIVIDFACE_SHARED names no folder of real clips and weights")
    return Path(folder)


@pytest.fixture
def moving_frames() -> np.ndarray:
    """Frames (9, 64, 64, 3) uint8 of a bright square that moves over a gradient."""
    frames = np.empty((9, 64, 64, 3), np.uint8)
    frames[:] = np.linspace(20, 200, 64, dtype=np.uint8)[None, None, :, None]
    for index, frame in enumerate(frames):
        frame[20:36, 4 * index : 4 * index + 16] = (220, 90, 40)
    return frames
