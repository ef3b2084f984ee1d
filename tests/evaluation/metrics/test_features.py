"""Which face of a frame is measured, and where: on real faces that are put together, moved and destroyed."""

import cv2
import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.evaluation.metrics.features import FaceReader
from vividface.faces.load import load_backend
from vividface.video import read_clip

FACES = FacesConfig(backend="dlib", detection_size=640)
SIDE, COUNT = 160, 4


@pytest.fixture(scope="module")
def reader():
    return FaceReader(FACES)


@pytest.fixture(scope="module")
def people(shared):
    """Two people's frames (4, 160, 160, 3)."""
    clips = [
        read_clip(shared / "faces/bench" / f"{name}_GT.mp4", 0, COUNT) for name in ("HDTF_1", "VFHQ-Test_1")
    ]
    return [
        np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in clip])
        for clip in clips
    ]


def beside(left, right):
    """Two clips side by side, the right one half as large."""
    half = np.stack([cv2.resize(frame, (SIDE // 2, SIDE // 2)) for frame in right])
    border = (SIDE // 4, SIDE // 4)
    return np.concatenate([left, np.pad(half, ((0, 0), border, border, (0, 0)))], axis=2)


def noise(shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def similarity(faces, reference):
    return (faces.features["identity"] * reference.features["identity"]).sum(axis=1)


def test_the_truths_person_is_taken_of_two(reader, people):
    """The left one is the larger in the truth; restored, the other one is, or the only one."""
    truth = beside(*people)
    reference = reader.read(truth, ["identity"])
    assert reference.found.all()
    assert (reference.boxes[:, 2] < SIDE).all(), "the larger face is taken of the truth"
    restored = truth.copy()
    restored[:, :, SIDE:] = people[1]
    for expected_found in (True, False):
        if not expected_found:
            restored[:, :, :SIDE] = noise((COUNT, SIDE, SIDE, 3))
        followed = reader.read(restored, [])
        assert (followed.boxes[:, 0] > SIDE).all(), "by size alone the other one would be taken"
        faces = reader.read(restored, ["identity"], expected=reference)
        assert (faces.found == expected_found).all()
        assert (faces.boxes[:, 2] < SIDE).all()
        assert (similarity(faces, reference).min() > 0.95) == expected_found


def test_a_face_elsewhere_is_ignored(reader, people):
    """Restored, the same face is in another place: what is in its true place is measured."""
    empty = np.zeros_like(people[0])
    reference = reader.read(np.concatenate([people[0], empty], axis=2), [])
    restored = np.concatenate([empty, people[0]], axis=2)
    assert reader.read(restored, []).found.all()
    faces = reader.read(restored, [], expected=reference)
    assert not faces.found.any()
    np.testing.assert_array_equal(faces.boxes, reference.boxes)
    np.testing.assert_array_equal(faces.landmarks, reference.landmarks)


def test_a_destroyed_face_is_measured_in_its_true_place(reader, people):
    reference = reader.read(people[0], ["identity", "fitted_landmarks"])
    restored = people[0].copy()
    restored[1:] = noise(restored[1:].shape)
    faces = reader.read(restored, ["identity", "fitted_landmarks"], expected=reference)
    assert faces.found.tolist() == [True, False, False, False]
    np.testing.assert_array_equal(faces.landmarks[1:], reference.landmarks[1:])
    backend = load_backend(FACES)
    at_the_truth = [backend.detect([frame])[0][0] for frame in people[0]]
    expected = backend.embed(list(restored), at_the_truth)
    np.testing.assert_allclose(faces.features["identity"], expected, atol=1e-5)
    assert similarity(faces, reference)[0] == pytest.approx(1, abs=1e-5)
    distance = np.abs(faces.features["fitted_landmarks"] - reference.features["fitted_landmarks"])
    assert distance[0].max() == 0
    assert (distance[1:].mean(axis=(1, 2)) > 1).all(), "the true landmarks do not stand for those of noise"


def test_nothing_is_measured_where_nobody_is_expected(reader, people):
    nowhere = reader.read(noise(people[0].shape), ["identity"])
    assert not nowhere.located
    faces = reader.read(people[0], ["identity"], expected=nowhere)
    assert not faces.located
    assert faces.features == {}


def test_places_in_frames_of_another_size(reader, people):
    factor = 2
    large = np.stack([cv2.resize(frame, (factor * SIDE, factor * SIDE)) for frame in people[0]])
    input_faces = reader.read(people[0], ["identity"])
    places = input_faces.resized((factor, factor))
    assert places.features == {}
    np.testing.assert_array_equal(places.boxes, factor * input_faces.boxes)
    assert not reader.read(large, [], expected=input_faces).found.all(), "unless they are resized"
    faces = reader.read(large, [], expected=places)
    assert faces.found.all()
    assert np.abs(faces.landmarks - places.landmarks).mean() < 0.02 * factor * SIDE
    upright = input_faces.resized((1, 3))
    np.testing.assert_allclose(upright.landmarks, input_faces.landmarks * (1, 3), rtol=1e-6)
