"""Following one person through a clip."""

import numpy as np
import pytest

from vividface.faces.base import Face
from vividface.faces.tracking import BRIDGE, FaceTracker, GapBridge, follow, interpolate, overlap

FRAME = np.zeros((10, 10, 3), np.uint8)


def make_face(x, y, size, person=0, score=1.0):
    """A face whose identity is hidden in its first landmark."""
    box = np.array([x, y, x + size, y + size], np.float32)
    grid = np.linspace(0, size, 68, dtype=np.float32)
    landmarks = np.stack([x + grid, y + grid], axis=1)
    landmarks[0, 0] = person
    return Face(box, landmarks, score)


class KnownPeople:
    """Identities are unit vectors, one per person; every look at one is counted."""

    num_landmarks, same_person = 68, 0.5

    def __init__(self):
        self.looked = 0

    def embed(self, frames, faces):
        self.looked += len(faces)
        return np.stack([np.eye(8, dtype=np.float32)[int(face.landmarks[0, 0])] for face in faces])


def track(frames):
    backend = KnownPeople()
    tracker = FaceTracker(backend)
    tracker.update([FRAME] * len(frames), frames)
    return tracker.person(), backend.looked


def test_the_person_covers_most_of_the_clip_not_of_each_frame():
    left = [make_face(10 + i, 10, 50, score=0.1) for i in range(6)]
    right = [make_face(200, 10, 60, 1), *[make_face(200, 10, 40, 1) for _ in range(5)]]
    person, _ = track([[r, face] for face, r in zip(left, right, strict=True)])
    assert person == left


def test_a_gap_and_a_passer_by():
    person = [make_face(10, 10, 50) for _ in range(5)]
    frames = [[person[0]], [person[1]], [], [make_face(300, 10, 60, 1)], [person[4]]]
    assert track(frames)[0] == [person[0], person[1], None, None, person[4]]


def test_one_person_alone_is_only_looked_at_when_another_comes():
    faces = [make_face(10 + i, 10, 50) for i in range(60)]
    person, looked = track([[face] for face in faces])
    assert person == faces
    assert looked == 0
    backend = KnownPeople()
    tracker = FaceTracker(backend)
    tracker.update([FRAME] * 60, [[face] for face in faces])
    assert tracker.identities()[0].tolist() == np.eye(8)[0].tolist()
    assert backend.looked == 1
    tracker.update([FRAME], [[make_face(300, 10, 70, 3)]])
    assert [identity.argmax() for identity in tracker.identities()] == [0, 3]
    assert backend.looked == 2


def test_who_comes_back_elsewhere_is_the_same_person():
    first = [make_face(10, 10, 50) for _ in range(4)]
    again = [make_face(300, 200, 50) for _ in range(3)]
    stranger = [make_face(150, 10, 60, 1) for _ in range(3)]
    frames = [*[[f] for f in first], [], *[[s, a] for s, a in zip(stranger, again, strict=True)]]
    assert track(frames)[0] == [*first, None, *again]


def test_a_stranger_in_the_same_place_is_not_the_same_person():
    first = [make_face(10, 10, 50) for _ in range(4)]
    stranger = [make_face(12, 10, 50, 1) for _ in range(3)]
    frames = [*[[f] for f in first], *[[]] * 40, *[[s] for s in stranger]]
    assert track(frames)[0] == [*first, *[None] * 43]


def test_two_people_who_cross_keep_their_identity():
    """Their boxes meet and part; by overlap alone they would change places."""
    xs = range(0, 130, 10)
    one = [make_face(x, 0, 50) for x in xs]
    two = [make_face(120 - x, 0, 48, 1) for x in xs]
    person, _ = track([[b, a] for a, b in zip(one, two, strict=True)])
    assert person == one


def test_without_any_face():
    assert track([])[0] == []
    assert track([[], []])[0] == [None, None]


def test_follow_sees_each_frame_once():
    class Backend(KnownPeople):
        def detect(self, frames):
            return [[make_face(int(frame[0, 0, 0]), 0, 50)] for frame in frames]

    frames = [np.full((10, 10, 3), index, np.uint8) for index in range(5)]
    person = follow(Backend(), iter([frames[:3], frames[3:]]))
    assert [int(face.box[0]) for face in person] == [0, 1, 2, 3, 4]


def test_lost_frames_lie_between_their_neighbours():
    faces = [None, make_face(0, 0, 10), None, None, make_face(30, 60, 10), None]
    boxes, points, found = interpolate(faces)
    assert points.shape == (6, 68, 2)
    assert points.dtype == boxes.dtype == np.float32
    np.testing.assert_array_equal(found, [False, True, False, False, True, False])
    expected = [[0, 0], [0, 0], [10, 20], [20, 40], [30, 60], [30, 60]]
    np.testing.assert_allclose(boxes[:, :2], expected, atol=1e-4)
    np.testing.assert_allclose(points[:, 1] - points[0, 1], np.array(expected), atol=1e-4)
    with pytest.raises(ValueError, match="no frame has a face"):
        interpolate([None, None])


def test_overlap_is_intersection_over_union():
    a, b = np.array([0, 0, 10, 10]), np.array([5, 0, 15, 10])
    assert overlap(a, b) == pytest.approx(50 / 150)
    assert overlap(a, a) == pytest.approx(1)
    assert overlap(a, a + 20) == 0


def bridged(frames, cuts=()):
    bridge, frames = GapBridge(), [list(faces) for faces in frames]
    for index, faces in enumerate(frames):
        bridge.add(faces, starts_shot=index in cuts)
    return frames


def test_a_face_that_is_lost_for_a_moment_is_interpolated():
    before, after = make_face(10, 10, 50, score=0.9), make_face(18, 10, 50, score=0.6)
    other = make_face(300, 10, 60, 1)
    frames = bridged([[before, other], [other], [], [other], [after, other]])
    assert [len(faces) for faces in frames] == [2, 2, 2, 2, 2]
    assert [frames[index][-1].box[0] for index in (1, 3)] == [12, 16]
    assert {face.box[0] for face in frames[2]} == {14, 300}
    np.testing.assert_allclose(
        frames[3][-1].landmarks[1:], before.landmarks[1:] + np.array([6, 0]), atol=1e-4
    )
    assert frames[1][-1].score == pytest.approx(0.6)


def test_no_gap_is_filled_over_a_cut_a_longer_time_or_another_place():
    face, elsewhere = make_face(10, 10, 50), make_face(200, 10, 50)
    assert bridged([[face], [], [face]], cuts=(2,))[1] == []
    assert bridged([[face], [], [elsewhere]])[1] == []
    assert all(bridged([[face], *[[]] * BRIDGE, [face]]))
    assert not any(bridged([[face], *[[]] * (BRIDGE + 1), [face]])[1:-1])
