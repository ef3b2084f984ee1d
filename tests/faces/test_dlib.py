"""The face backend `dlib`, on real clips where VIVIDFACE_SHARED names them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.errors import MissingWeightsError
from vividface.faces import identity
from vividface.faces.base import FaceBackend, Region, rescale
from vividface.faces.load import load_backend
from vividface.video import iterate_frames


@pytest.fixture(scope="module")
def dlib_backend() -> FaceBackend:
    return load_backend(FacesConfig(backend="dlib", detection_size=640))


def frame_of(shared: Path, name: str, index: int = 0) -> np.ndarray:
    return next(iterate_frames(shared / "faces" / name, index, index + 1))


def test_a_face_is_found_with_landmarks_in_their_order(shared, dlib_backend):
    frame = frame_of(shared, "eval/liveportrait_d0.mp4")
    faces = dlib_backend.detect([frame])[0]
    assert len(faces) == 1
    face = faces[0]
    assert face.box.dtype == np.float32
    assert face.box.shape == (4,)
    assert face.landmarks.dtype == np.float32
    assert face.landmarks.shape == (68, 2)
    chin, brows, right_eye, left_eye = (
        face.landmarks[i].reshape(-1, 2).mean(axis=0)
        for i in (8, slice(17, 27), slice(36, 42), slice(42, 48))
    )
    assert brows[1] < right_eye[1] < chin[1]
    assert right_eye[0] < left_eye[0]
    assert face.box[0] < right_eye[0] < left_eye[0] < face.box[2]


def test_a_large_frame_gives_the_coordinates_of_the_same_frame_made_small(shared, dlib_backend):
    frame = frame_of(shared, "eval/spectre_M030_level_3_angry_016.mp4")
    assert frame.shape == (1080, 1920, 3)
    large = dlib_backend.detect([frame])[0][0]
    small = dlib_backend.detect([cv2.resize(frame, (960, 540), interpolation=cv2.INTER_AREA)])[0][0]
    width = np.ptp(large.landmarks[:, 0])
    assert np.abs(large.landmarks - 2 * small.landmarks).mean() < 0.02 * width
    assert np.abs(large.box - 2 * small.box).max() < 0.1 * width


def test_a_face_of_40_px_is_found_in_a_small_frame(shared, dlib_backend):
    frame = frame_of(shared, "eval/liveportrait_d18.mp4")
    small = cv2.resize(frame, (80, 80), interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, 32, 32, 48, 48, cv2.BORDER_REPLICATE)
    assert small.shape == (144, 176, 3)
    faces = dlib_backend.detect([small])[0]
    assert len(faces) == 1
    assert 30 < np.ptp(faces[0].landmarks[:, 0]) < 50
    expected = dlib_backend.detect([frame])[0][0].landmarks * 80 / 480 + (48, 32)
    assert np.abs(faces[0].landmarks - expected).mean() < 2


def test_identity_is_a_unit_vector_that_tells_people_apart(shared, dlib_backend):
    vectors = []
    for name, index in (("d0", 0), ("d0", 40), ("d18", 0)):
        frame = frame_of(shared, f"eval/liveportrait_{name}.mp4", index)
        vectors.append(dlib_backend.embed([frame], dlib_backend.detect([frame])[0])[0])
    for vector in vectors:
        assert vector.dtype == np.float32
        assert vector.shape == (128,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    first, again, other = vectors
    assert first @ again > 0.95
    assert first @ other < 0.9


def test_the_same_frame_gives_the_same_faces(shared, dlib_backend):
    frame = frame_of(shared, "eval/liveportrait_d0.mp4")
    first, second = dlib_backend.detect([frame])[0][0], dlib_backend.detect([frame.copy()])[0][0]
    np.testing.assert_array_equal(first.landmarks, second.landmarks)
    np.testing.assert_array_equal(dlib_backend.embed([frame], [first]), dlib_backend.embed([frame], [second]))


def test_a_frame_without_a_face_gives_none(dlib_backend):
    ramp = np.linspace(0, 255, 160, dtype=np.uint8)
    frame = np.broadcast_to(ramp[None, :, None], (120, 160, 3))
    assert dlib_backend.detect([frame])[0] == []


@pytest.mark.parametrize("shape", [(1080, 1920), (144, 176), (320, 640), (512, 512), (40, 30), (3000, 100)])
def test_the_image_searched_keeps_to_detection_size(dlib_backend, shape):
    searched, scale = rescale(np.zeros((*shape, 3), np.uint8), dlib_backend.search_factor(*shape))
    assert max(searched.shape) <= max(640, 3)
    assert max(scale) <= 3
    np.testing.assert_allclose(scale, [searched.shape[1] / shape[1], searched.shape[0] / shape[0]])


def test_missing_networks_are_named(monkeypatch):
    monkeypatch.setattr(identity.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingWeightsError, match="pip install face-recognition-models"):
        load_backend(FacesConfig(backend="dlib", detection_size=640))


def test_threads_change_nothing(shared, dlib_backend):
    frames = [frame_of(shared, "eval/liveportrait_d0.mp4", index) for index in range(6)]
    threaded = load_backend(FacesConfig(backend="dlib", detection_size=640), threads=3)
    for one, other in zip(dlib_backend.detect(frames), threaded.detect(frames), strict=True):
        np.testing.assert_array_equal(one[0].landmarks, other[0].landmarks)


def test_parsing_is_the_outline_of_the_face(shared, dlib_backend):
    frame = frame_of(shared, "eval/liveportrait_d0.mp4")
    face = dlib_backend.detect([frame])[0][0]
    regions = dlib_backend.parse([frame], [face])
    assert regions.shape == (1, *frame.shape[:2])
    assert set(np.unique(regions)) == {Region.BACKGROUND, Region.FACE}
    nose = np.rint(face.landmarks[30]).astype(int)
    assert regions[0, nose[1], nose[0]] == Region.FACE


def test_landmarks_are_fitted_in_a_box_where_nothing_is_detected(shared, dlib_backend):
    large = frame_of(shared, "eval/liveportrait_d0.mp4")
    small = cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA)
    for frame in (large, small):
        (face,) = dlib_backend.detect([frame])[0]
        empty = np.zeros_like(frame)
        assert dlib_backend.detect([empty]) == [[]]
        seen, unseen = dlib_backend.fit_landmarks([frame, empty], [face, face])
        assert seen.dtype == np.float32
        np.testing.assert_array_equal(seen, face.landmarks)
        width = np.ptp(face.box[0::2])
        assert np.abs(unseen - face.landmarks).max() > 0.05 * width
        assert (np.abs(unseen - face.box.reshape(2, 2).mean(axis=0)) < width).all()
