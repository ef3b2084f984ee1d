"""Synthetic clips that several test files use."""

import numpy as np
import pytest

from vividface.video import write_clip


@pytest.fixture(scope="session")
def training_videos(tmp_path_factory):
    """`hq/`, `lq/` and `masks/` of two clips, `a` and `b`: 13 frames of 32 px, 20 px where degraded."""
    folder = tmp_path_factory.mktemp("clips")
    generator = np.random.default_rng(0)
    for kind, side in (("hq", 32), ("lq", 20)):
        for clip in ("a", "b"):
            frames = generator.integers(0, 256, (13, side, side, 3), dtype=np.uint8)
            write_clip(folder / kind / f"{clip}.mkv", frames, 25)
    for clip in ("a", "b"):
        masks = generator.random((13, 32, 32)) > 0.98
        write_clip(folder / "masks" / f"{clip}.mkv", masks, 25, codec="ffv1_gray")
    return folder
