"""Windows of a stream of frames, blended where they overlap."""

import numpy as np
import pytest

from vividface.restoration.streaming import restore_stream, restore_windows


def numbered(count):
    return [np.full((4, 4, 3), index, np.uint8) for index in range(count)]


def value(frame):
    return int(frame[0, 0, 0])


@pytest.mark.parametrize("count", [0, 1, 4, 8, 9, 10, 14, 15, 23])
@pytest.mark.parametrize("overlap", [0, 3])
def test_every_frame_comes_out_once_and_in_order(count, overlap):
    restored = list(restore_stream(numbered(count), lambda frames: frames, window=9, overlap=overlap))
    assert [value(frame) for frame in restored] == list(range(count))


def test_windows_are_bounded_and_blended():
    sizes = []

    def restore(frames):
        sizes.append(len(frames))
        return np.full_like(frames, 100 * len(sizes))

    values = [value(frame) for frame in restore_stream(numbered(15), restore, window=9, overlap=3)]
    assert max(sizes) <= 9
    assert values[:6] == [100] * 6
    assert values[6:9] == [125, 150, 175]
    assert values[9:] == [200] * 6


def restored_windows(count, *, window=9, overlap=2, cuts=()):
    """First and last frame of each window, and the restored frames of windows of 50, 100, 150, ..."""
    windows = []

    def restore(items):
        windows.append((value(items[0]), value(items[-1])))
        return [np.full_like(item, 50 * len(windows)) for item in items]

    parts = restore_windows(
        numbered(count),
        restore,
        window=window,
        overlap=overlap,
        starts_shot=lambda frame: value(frame) in cuts,
    )
    return windows, [value(frame) for part in parts for frame in part.frames]


def test_the_last_window_of_a_shot_is_a_full_one_and_fades_in_over_all_that_it_shares():
    windows, values = restored_windows(12)
    assert windows == [(0, 8), (3, 11)]
    assert values == [50] * 3 + [57, 64, 71, 79, 86, 93] + [100] * 3
    windows, _ = restored_windows(27, cuts=[10, 14])
    assert windows == [(0, 8), (1, 9), (10, 13), (14, 22), (18, 26)], "a shot may be shorter than a window"
    assert restored_windows(16)[0] == [(0, 8), (7, 15)], "what fits has no window more"
    assert restored_windows(9)[0] == [(0, 8)]
    assert restored_windows(20, overlap=0)[0] == [(0, 8), (9, 17), (11, 19)]


def test_where_two_fades_meet_no_frame_comes_before_both():
    windows, values = restored_windows(17, overlap=4)
    assert windows == [(0, 8), (5, 13), (8, 16)]
    assert values[:5] == [50] * 5
    assert values[5:8] == [60, 70, 80], "from the first to the second"
    assert values[8] == round(90 * 6 / 7 + 150 / 7), "and on to the third"
    assert values[9:14] == [round(100 + 50 * step / 7) for step in range(2, 7)]
    assert values[14:] == [150] * 3


def test_sixteen_bits_are_blended_too():
    calls = []

    def restore(frames):
        calls.append(1)
        return np.full_like(frames, 20000 * len(calls))

    deep = [frame.astype(np.uint16) for frame in numbered(15)]
    values = [value(frame) for frame in restore_stream(deep, restore, window=9, overlap=3)]
    assert values[5:9] == [20000, 25000, 30000, 35000]


@pytest.mark.parametrize("cuts", [[4], [1, 2], [9], [12], [14], [4, 13]])
def test_no_window_crosses_a_cut(cuts):
    windows = []

    def restore(items):
        windows.append([value(item) for item in items])
        return list(items)

    parts = restore_windows(
        numbered(15), restore, window=9, overlap=3, starts_shot=lambda frame: value(frame) in cuts
    )
    frames = [value(frame) for part in parts for frame in part.frames]
    assert frames == list(range(15))
    for window in windows:
        assert not any(window[0] < cut <= window[-1] for cut in cuts)


@pytest.mark.parametrize("overlap", [0, 3, 4])
@pytest.mark.parametrize("cuts", [[], [5], [9, 20], [13, 27], [21]])
def test_restoration_resumes_behind_any_window(overlap, cuts):
    """What is behind a window is the same, however much of what is before was ever read."""

    def restore(items):
        # Depends on the whole window, so that another window gives other frames.
        return [item + np.uint8(value(items[0]) % 7 * 10 + len(items)) for item in items]

    def run(first):
        return restore_windows(
            numbered(30)[first:],
            restore,
            window=9,
            overlap=overlap,
            starts_shot=lambda frame: value(frame) in cuts,
            first=first,
        )

    whole = list(run(0))
    for part in whole:
        assert len(part.items) == len(part.frames), "every restored frame comes with its item"
    frames = [value(frame) for part in whole for frame in part.frames]
    done = 0
    for part in whole:
        done += len(part.frames)
        rest = [value(frame) for later in run(part.resume_at) for frame in later.frames]
        assert rest[part.skip :] == frames[done:]


def test_an_overlap_of_more_than_half_a_window_is_refused():
    with pytest.raises(ValueError, match="an overlap of 5 frames is more than half a window of 9"):
        list(restore_stream(numbered(3), lambda frames: frames, window=9, overlap=5))
