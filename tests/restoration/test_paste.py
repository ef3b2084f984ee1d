"""Faces restored in their crops and pasted back."""

import numpy as np
import pytest

from vividface.faces.base import Face, Region
from vividface.restoration.cutting import FaceFrame
from vividface.restoration.paste import restore_faces


def make_face(x, y, size, person=0):
    grid = np.linspace(0.1, 0.9, 68, dtype=np.float32) * size
    landmarks = np.stack([x + grid, y + grid], axis=1)
    return Face(np.array([x, y, x + size, y + size], np.float32), landmarks, 1.0)


class Boxes:
    """The face is its box; people are told apart by the brightness of the pixel in its middle."""

    num_landmarks, same_person = 68, 0.9

    def embed(self, frames, faces):
        vectors = []
        for frame, face in zip(frames, faces, strict=True):
            x, y = ((face.box[:2] + face.box[2:]) / 2).astype(int)
            vectors.append(np.eye(4, dtype=np.float32)[int(frame[y, x, 0]) // 64])
        return np.stack(vectors)

    def parse(self, frames, faces):
        parsed = np.zeros((len(frames), *frames[0].shape[:2]), np.uint8)
        for mask, face in zip(parsed, faces, strict=True):
            x0, y0, x1, y1 = (max(round(float(v)), 0) for v in face.box)
            mask[y0:y1, x0:x1] = Region.FACE
        return parsed


def scene(count, place, depth=np.uint8, shape=(120, 160)):
    """Frames of noise with a face, a flat square, where `place` says; None is no face."""
    rng = np.random.default_rng(0)
    peak = np.iinfo(depth).max
    frames = []
    for index in range(count):
        pixels = rng.integers(0, peak // 2, (*shape, 3)).astype(depth)
        faces = []
        for value, at in enumerate(place(index)):
            if at is not None:
                x, y, size = at
                pixels[y : y + size, x : x + size] = peak // 4 * value + peak // 8
                faces.append(make_face(x, y, size))
        frames.append(FaceFrame(pixels, faces))
    return frames


def brighten(crops):
    step = np.iinfo(crops.dtype).max // 8
    return np.clip(crops.astype(np.int64) + step, 0, np.iinfo(crops.dtype).max).astype(crops.dtype)


def run(frames, restore=brighten, size=64):
    return restore_faces(frames, restore, backend=Boxes(), size=size, margin=0.3, min_face=16)


def changes(frames, result):
    pairs = zip(frames, result.frames, strict=True)
    return [after.astype(int) - before.pixels for before, after in pairs]


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_model_that_changes_nothing_changes_no_pixel(size, depth):
    for place in (lambda i: [(50, 40, 40)], lambda i: [(2 + 12 * i, 60, 40)]):
        frames = scene(9, place, depth)
        result = run(frames, lambda crops: crops, size)
        assert not any(change.any() for change in changes(frames, result))
        assert result.has_face == [True] * 9
        assert result.left == [{"good"}] * 9, "and says so"


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_face_is_restored_and_the_background_left(size):
    frames = scene(5, lambda i: [(50, 40, 40)])
    for change in changes(frames, run(frames, size=size)):
        assert np.abs(change[48:72, 58:82] - 31).max() <= 1, "within the face"
        assert not change[:20].any()
        assert not change[:, 120:].any()
        ring = change[60, 30:110, 0]
        assert np.abs(np.diff(ring)).max() < 16, "the mask is soft"


def test_a_face_that_walks_is_followed():
    frames = scene(12, lambda i: [(4 + 9 * i, 50, 40)])
    seen = []

    def restore(crops):
        seen.append(crops)
        return brighten(crops)

    result = run(frames, restore)
    for index, change in enumerate(changes(frames, result)):
        middle = 4 + 9 * index + 20
        assert np.abs(change[62:78, middle - 8 : middle + 8] - 31).max() <= 2
    # The face, flat in itself, stays in the middle of its crops.
    assert all(crop[28:36, 28:36].std() < 6 for crop in seen[0])


def test_every_face_and_only_faces():
    frames = scene(6, lambda i: [(10, 10, 40), (100, 60, 40)])
    for change in changes(frames, run(frames)):
        assert change[30, 30, 0] == 31
        assert change[80, 120, 0] == 31
        assert not change[100:, :60].any()
    tiny = scene(6, lambda i: [(50, 40, 10)])
    result = run(tiny)
    assert not any(change.any() for change in changes(tiny, result))
    assert result.has_face == [False] * 6
    assert result.left == [{"small"}] * 6
    assert run(frames).left == [set()] * 6


def test_a_face_that_comes_is_faded_in_and_a_gap_is_filled():
    frames = scene(20, lambda i: [(50, 40, 40) if 6 <= i != 12 else None])
    missed = frames[12]
    missed.pixels[40:80, 50:90] = 31
    result = run(frames)
    middle = [int(change[60, 70, 0]) for change in changes(frames, result)]
    assert middle[:6] == [0] * 6
    assert 0 < middle[6] < middle[8] < middle[10] == 31
    assert middle[12] == 31, "the detector missed it once"
    assert middle[19] == 31, "the window's end is no reason to fade"
    once = scene(20, lambda i: [(50, 40, 40) if i == 7 else None])
    assert run(once).has_face == [False] * 20


def five_points(x, y, size, turn):
    """A face with five landmarks, turned to the side by degrees."""
    head = np.array([(-0.36, -0.09, -0.03), (0.36, -0.09, -0.03), (0, 0.24, -0.5), (-0.29, 0.67, -0.1)])
    head = np.concatenate([head, head[3:] * (-1, 1, 1)])
    angle = np.radians(turn)
    places = np.stack([head[:, 0] * np.cos(angle) + head[:, 2] * np.sin(angle), head[:, 1]], axis=1)
    landmarks = (places + np.array([1, 0.8])) * size / 2 + np.array([x, y])
    return Face(np.array([x, y, x + size, y + size], np.float32), landmarks.astype(np.float32), 1.0)


def test_a_face_that_turns_away_fades_out_and_is_counted():
    frames = scene(40, lambda i: [(50, 40, 40)])
    turns = np.linspace(20, 85, 40)
    frames = [
        FaceFrame(frame.pixels, [five_points(50, 40, 40, turn)], index)
        for index, (frame, turn) in enumerate(zip(frames, turns, strict=True))
    ]
    result = restore_faces(frames, brighten, backend=Boxes(), size=64, margin=0.3, min_face=16, max_turn=60)
    middle = np.array([int(change[60, 70, 0]) for change in changes(frames, result)])
    assert (middle[turns < 45] == 31).all()
    assert (middle[turns > 65] == 0).all()
    assert np.abs(np.diff(middle)).max() <= 8, "no frame jumps"
    left = np.array([found == {"turned"} for found in result.left])
    np.testing.assert_array_equal(left, ~np.array(result.has_face))
    assert (left == (turns >= 60)).mean() > 0.95
    calls = []
    aside = [FaceFrame(frame.pixels, [five_points(50, 40, 40, 80)]) for frame in frames[:5]]
    options = {"backend": Boxes(), "size": 64, "margin": 0.3, "min_face": 16}
    assert restore_faces(aside, calls.append, **options, max_turn=60).left == [{"turned"}] * 5
    assert not calls, "the model is not asked"
    assert restore_faces(aside, brighten, **options, max_turn=180).has_face == [True] * 5


def test_a_window_at_the_border_is_continued():
    frames = scene(4, lambda i: [(0, 0, 40)])
    for change in changes(frames, run(frames)):
        assert change[20, 20, 0] == 31
        assert change.shape == (120, 160, 3)
