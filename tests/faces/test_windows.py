import numpy as np
import pytest

from vividface.faces.backend import Face
from vividface.faces.windows import (
    Window,
    crop,
    face_box,
    interpolate_landmarks,
    to_crop,
    track_faces,
    unified_window,
)


def make_face(x: float, y: float, size: float, score: float = 1.0) -> Face:
    box = np.array([x, y, x + size, y + size], np.float32)
    grid = np.linspace(0, size, 68, dtype=np.float32)
    return Face(box, np.stack([x + grid, y + grid], axis=1), score)


def test_tracking_follows_the_person_that_covers_most_not_the_largest_box():
    left = [make_face(10 + i, 10, 50, score=0.1) for i in range(6)]
    right = [make_face(200, 10, 60), *[make_face(200, 10, 40) for _ in range(5)]]
    frames = [[r, person] for person, r in zip(left, right, strict=True)]
    assert track_faces(frames) == left


def test_tracking_survives_a_gap_and_ignores_a_passer_by():
    person = [make_face(10, 10, 50) for _ in range(5)]
    frames = [[person[0]], [person[1]], [], [make_face(300, 10, 80)], [person[4]]]
    assert track_faces(frames) == [person[0], person[1], None, None, person[4]]


def test_tracking_gives_each_face_to_the_track_it_overlaps_most():
    one, two = make_face(0, 0, 50), make_face(30, 0, 60)
    # Both new faces overlap track one; the first of the list belongs to track two.
    moved_two, moved_one = make_face(22, 0, 60), make_face(2, 0, 50)
    assert track_faces([[one, two], [moved_two, moved_one]]) == [two, moved_two]


@pytest.mark.parametrize("frames", [[], [[], []]])
def test_tracking_without_any_face(frames):
    assert track_faces(frames) == [None] * len(frames)


def test_landmarks_of_lost_frames_lie_between_their_neighbours():
    faces = [None, make_face(0, 0, 10), None, None, make_face(30, 60, 10), None]
    points, found = interpolate_landmarks(faces)
    assert points.shape == (6, 68, 2)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(found, [False, True, False, False, True, False])
    np.testing.assert_allclose(
        points[:, 0], [[0, 0], [0, 0], [10, 20], [20, 40], [30, 60], [30, 60]], atol=1e-4
    )
    with pytest.raises(ValueError, match="no frame has a face"):
        interpolate_landmarks([None, None])


def test_the_face_box_reaches_over_the_forehead_and_holds_the_detectors_box():
    face = make_face(100, 100, 40)
    np.testing.assert_allclose(face_box(face), [100, 80, 140, 140])
    wide = Face(np.array([90, 60, 130, 130], np.float32), face.landmarks, 1.0)
    np.testing.assert_allclose(face_box(wide), [90, 60, 140, 140])


def test_the_window_holds_every_box_with_its_margin():
    boxes = np.array([[100, 100, 150, 160], [120, 90, 200, 150]], np.float32)
    window = unified_window(boxes, 480, 640, 0.5)
    assert window == Window(150 - 75, 125 - 75, 150)  # 100 wide, 70 high, by 1.5
    assert window.padding_share(480, 640) == 0


def test_the_window_is_shifted_into_the_frame():
    window = unified_window(np.array([[0, 380, 100, 470]], np.float32), 480, 640, 0.4)
    assert window == Window(0, 340, 140)
    assert window.padding_share(480, 640) == 0


def test_the_margin_yields_to_the_frame_before_padding_is_used():
    assert unified_window(np.array([[20, -30, 180, 190]], np.float32), 200, 200, 0.3) == Window(0, 0, 200)


def test_a_union_larger_than_the_frame_is_padded():
    window = unified_window(np.array([[0, 0, 60, 60], [240, 0, 300, 60]], np.float32), 100, 400, 0.0)
    assert window == Window(0, -100, 300)
    assert window.padding_share(100, 400) == pytest.approx(2 / 3)


def test_crop_cuts_exactly_and_replicates_edges():
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    np.testing.assert_array_equal(crop(frame, Window(10, 5, 16), 16), frame[5:21, 10:26])
    beyond = crop(frame, Window(-4, 30, 16), 16)
    np.testing.assert_array_equal(beyond[:10, 4:], frame[30:, :12])
    np.testing.assert_array_equal(beyond[:10, :4], np.repeat(frame[30:, :1], 4, axis=1))
    np.testing.assert_array_equal(beyond[10:, 4:], np.repeat(frame[39:, :12], 6, axis=0))


def test_crop_averages_areas_when_shrinking():
    frame = np.zeros((32, 32, 3), np.uint8)
    frame[::2] = 200
    np.testing.assert_array_equal(crop(frame, Window(0, 0, 32), 16), np.full((16, 16, 3), 100, np.uint8))
    assert crop(frame, Window(0, 0, 8), 16).shape == (16, 16, 3)


def test_landmarks_in_the_crop_lie_where_the_picture_is():
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[40:44, 60:64] = 255
    window = Window(20, 10, 64)
    for size in (128, 32):
        y, x = np.nonzero(crop(frame, window, size)[:, :, 0] > 127)
        centre = to_crop(np.array([[61.5, 41.5]]), window, size)
        np.testing.assert_allclose(centre, [[x.mean(), y.mean()]], atol=1e-4)
        assert centre.dtype == np.float32
