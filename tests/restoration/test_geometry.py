"""Pixels that are not square."""

from fractions import Fraction

import numpy as np
import pytest

from vividface.restoration.geometry import Geometry

from .helpers import decode, ffmpeg, run


@pytest.mark.parametrize("aspect", ["64/45", "8/9", "3/4"])
def test_frames_are_restored_as_they_are_seen(aspect, tmp_path):
    source, result, ratio = tmp_path / "in.mp4", tmp_path / "new.mp4", Fraction(aspect)
    picture = f"testsrc2=s=144x96:r=25:d=0.4,setsar={aspect}"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-pix_fmt", "yuv420p", source)
    shapes = set()

    def brighten_middle(frames):
        height, width = frames.shape[1:3]
        shapes.add((height, width))
        changed = frames.copy()
        middle = changed[:, height // 4 : height // 2, width // 4 : width // 2]
        middle[:] = np.minimum(middle, 200) + 40
        return changed

    run(source, result, brighten_middle)
    assert shapes == {(96, round(144 * ratio)) if ratio > 1 else (round(96 / ratio), 144)}
    before, after = decode(source), decode(result)
    for (_, old, one), (_, new, other) in zip(before, after, strict=True):
        assert new.shape == old.shape
        assert (other.width, other.height) == (one.width, one.height)
        assert np.abs(new.astype(int) - old)[60:, 80:].mean() < 2
        assert (new.astype(int) - old)[28:44, 40:68].mean() > 15
    import av

    with av.open(str(result)) as container:
        assert container.streams.video[0].sample_aspect_ratio == ratio


def test_what_is_not_changed_comes_back_bit_for_bit():
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    geometry = Geometry(Fraction(16, 11))
    seen = geometry.stretched(frame)
    assert seen.shape == (40, 87, 3)
    assert np.array_equal(geometry.brought_back(frame, seen, seen.copy()), frame)
    changed = seen.copy()
    changed[5:15, 20:40] ^= 255
    back = geometry.brought_back(frame, seen, changed)
    assert np.array_equal(back[:, 35:], frame[:, 35:])
    assert not np.array_equal(back, frame)


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(100), Fraction(1, 100)])
def test_square_and_absurd_pixels_are_square(aspect):
    frame = np.zeros((8, 8, 3), np.uint8)
    assert Geometry(aspect).stretched(frame) is frame
