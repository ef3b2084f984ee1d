"""A result beside its reference."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vividface.errors import InputError
from vividface.evaluation.alignment import aligned, fitting_offset, overlap
from vividface.evaluation.footage import Footage

PATHS = (Footage(Path("theirs/a.mp4")), Footage(Path("true/a.mp4")))


@pytest.fixture(scope="module")
def clip():
    """A texture that moves by three pixels a frame."""
    texture = np.random.default_rng(0).integers(0, 256, (16, 40, 3), dtype=np.uint8)
    wide = cv2.resize(texture, (400, 128), interpolation=cv2.INTER_CUBIC)
    return np.stack([wide[:, 3 * index : 3 * index + 128] for index in range(24)])


def test_a_shift_in_time_is_seen_through_blur_and_brightness(clip):
    for shift in (-3, -1, 0, 1, 4):
        index = np.clip(np.arange(24) - shift, 0, 23)
        blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 4) for frame in clip[index]])
        darker = (blurred * 0.7).astype(np.uint8)
        assert fitting_offset(darker, clip) == shift
        assert fitting_offset(darker, clip, shift) == shift


def test_nothing_is_claimed_of_a_clip_that_hardly_moves(clip):
    generator = np.random.default_rng(1)
    still, other = (
        np.clip(clip[:1] + generator.normal(0, 4, clip.shape), 0, 255).astype(np.uint8) for _ in range(2)
    )
    assert fitting_offset(still, other) == 0
    assert fitting_offset(still, other, 2) == 2
    assert fitting_offset(clip[:1], clip[:1]) == 0


def test_the_frames_that_both_have():
    frames, reference = np.arange(10), np.arange(100, 108)
    np.testing.assert_array_equal(overlap(frames, reference, 3), [np.arange(3, 10), np.arange(100, 107)])
    np.testing.assert_array_equal(overlap(frames, reference, -2), [np.arange(6), np.arange(102, 108)])


def test_a_result_that_is_late_is_an_error_until_it_is_said(clip):
    late = clip[np.clip(np.arange(24) - 2, 0, 23)]
    with pytest.raises(InputError, match=r"theirs/a\.mp4: fits .* 2 frames late; .* --align a=2"):
        aligned("a", late, clip, paths=PATHS)
    with pytest.raises(InputError, match="2 frames late"):
        aligned("a", late, clip, paths=PATHS, offset=-2)
    frames, reference = aligned("a", late, clip, paths=PATHS, offset=2)
    assert len(frames) == 22
    np.testing.assert_array_equal(frames, reference)


def test_other_sizes_and_lengths_are_errors(clip):
    with pytest.raises(
        InputError, match=r"is 128x126 px, but true/a\.mp4, which it is compared with, is 128x128"
    ):
        aligned("a", clip[:, 1:-1], clip, paths=PATHS)
    with pytest.raises(InputError, match=r"has 20 frames, but true/a\.mp4, .* has 24"):
        aligned("a", clip[:20], clip, paths=PATHS)
    frames, reference = aligned("a", clip[:20], clip, paths=PATHS, offset=0)
    assert frames.shape == reference.shape == (20, 128, 128, 3)
