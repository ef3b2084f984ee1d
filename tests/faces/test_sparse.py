"""Finding faces in every few frames, and in all where they change."""

from itertools import islice

import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.faces.base import Face
from vividface.faces.load import load_backend
from vividface.faces.sparse import SparseDetector
from vividface.faces.tracking import overlap
from vividface.video import batched, iterate_frames


def make_face(x, y=20, size=100):
    box = np.array([x, y, x + size, y + size], np.float32)
    return Face(box, np.repeat(box.reshape(2, 2), [3, 2], axis=0), 1.0)


class Scene:
    """Faces by the number of a frame; the frames that were looked at are kept."""

    num_landmarks, same_person = 5, 0.9

    def __init__(self, places):
        self._places, self.looks = places, []

    def detect(self, frames):
        numbers = [int(frame[0, 0, 0]) for frame in frames]
        # Frames turned by a quarter are looked at where there is no face.
        self.looks += [number for number in numbers if number not in self.looks]
        return [[make_face(*place) for place in self._places(number)] for number in numbers]


def found(scene, count, *, first=0, cuts=()):
    detector = SparseDetector(scene)
    faces = []
    for numbers in batched(range(first, count), 8):
        frames = [np.full((4, 4, 3), number, np.uint8) for number in numbers]
        faces += detector.detect(frames, [number in cuts for number in numbers])
    return faces


def lefts(faces):
    return [[round(float(face.box[0]), 3) for face in frame] for frame in faces]


def test_a_face_that_hardly_moves_is_looked_at_in_every_fourth_frame():
    scene = Scene(lambda number: [(50 + number / 2,)])
    assert lefts(found(scene, 20)) == [[50 + number / 2] for number in range(20)]
    assert scene.looks == [0, 3, 7, 11, 15, 19]


def test_a_face_that_moves_fast_is_looked_at_in_every_frame():
    scene = Scene(lambda number: [(5 * number + number % 3,)])
    assert lefts(found(scene, 16)) == [[5 * number + number % 3] for number in range(16)]
    assert sorted(scene.looks) == list(range(16))


@pytest.mark.parametrize("first", range(8, 16))
def test_a_face_that_comes_between_two_looks_is_found_in_its_first_frame(first):
    scene = Scene(lambda number: [(200,), (50,)] if number >= first else [(200,)])
    assert [len(faces) for faces in found(scene, 24)] == [1] * first + [2] * (24 - first)
    assert len(scene.looks) < 12


def test_both_sides_of_a_cut_are_looked_at():
    scene = Scene(lambda number: [(50,)] if number < 13 else [(51,)])
    assert lefts(found(scene, 24, cuts=[13])) == [[50]] * 13 + [[51]] * 11
    assert {12, 13} <= set(scene.looks)
    scene = Scene(lambda number: [(50,)] if number < 16 else [(51,)])
    assert lefts(found(scene, 24, cuts=[16])) == [[50]] * 16 + [[51]] * 8


def test_people_are_told_apart_whatever_their_order():
    def places(number):
        pair = [(50 + number / 4,), (200 - number / 4,)]
        return pair if number % 8 < 4 else pair[::-1]

    faces = found(Scene(places), 24)
    assert [sorted(frame) for frame in lefts(faces)] == [[50 + n / 4, 200 - n / 4] for n in range(24)]


def test_what_is_found_does_not_depend_on_where_it_was_begun():
    rng = np.random.default_rng(0)
    xs = np.cumsum(rng.integers(-6, 7, 64)) + 200

    def places(number):
        return [(int(xs[number]),)] if number % 23 else []

    whole = lefts(found(Scene(places), 64, cuts=[29]))
    for first in (8, 16, 32):
        assert lefts(found(Scene(places), 64, first=first, cuts=[29]))[4:] == whole[first + 4 :]


@pytest.mark.parametrize("name", ["real/keep_real_1.mp4", "eval/liveportrait_d0.mp4"])
def test_real_faces_are_where_looking_at_every_frame_finds_them(name, shared):
    backend = load_backend(FacesConfig.of_backend("mediapipe"))
    frames = list(islice(iterate_frames(shared / "faces" / name), 32))
    detector = SparseDetector(backend)
    sparse = [faces for batch in batched(frames, 8) for faces in detector.detect(batch, [False] * len(batch))]
    every = backend.detect(frames)
    assert [len(faces) for faces in sparse] == [len(faces) for faces in every] == [1] * 32
    shared_areas = [overlap(a.box, b.box) for (a,), (b,) in zip(sparse, every, strict=True)]
    assert np.mean(shared_areas) > 0.98


def test_where_an_upright_head_is_lost_none_is_looked_for_on_its_side():
    """A detector takes anything for a face in a frame that is turned."""

    class Turned(Scene):
        def detect(self, frames):
            turned = frames[0][0, 0, 1] != frames[0][0, -1, 1]
            return [[make_face(7)] for _ in frames] if turned else super().detect(frames)

    def frames(numbers):
        ramp = np.linspace(0, 90, 4, dtype=np.uint8)[:, None]
        return [
            np.stack([np.full((4, 4), n, np.uint8), ramp.repeat(4, 1), ramp.repeat(4, 1)], 2) for n in numbers
        ]

    detector = SparseDetector(Turned(lambda number: [] if number in (2, 3, 4) else [(50,)]))
    assert lefts(detector.detect(frames(range(8)), [False] * 8)) == [[50]] * 2 + [[]] * 3 + [[50]] * 3
    detector = SparseDetector(Turned(lambda number: []))
    assert all(detector.detect(frames(range(8)), [False] * 8)), "a head on its side is found"
