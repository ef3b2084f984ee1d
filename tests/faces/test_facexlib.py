"""The face backend `facexlib`: networks with random weights, and the real detector where there is one."""

import cv2
import numpy as np
import pytest
import torch
from facexlib.detection.retinaface import RetinaFace
from facexlib.parsing.bisenet import BiSeNet
from facexlib.recognition.arcface_arch import Backbone

from vividface.config import FacesConfig
from vividface.errors import InputError, MissingWeightsError
from vividface.faces.base import Face, Region
from vividface.faces.facexlib import LABELS, REGION_OF_LABEL
from vividface.faces.landmarks import eye_centres, face_parts, five_points
from vividface.faces.load import load_backend
from vividface.video import read_clip

FACES = FacesConfig(
    backend="facexlib", detection_size=512, detector="retinaface_mobile0.25", min_score=0.8, batch_size=2
)
DLIB = FacesConfig(backend="dlib", detection_size=640)
MOBILE = "retinaface_mobile0.25"


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """A cache with randomly initialised networks, as their checkpoints are saved."""
    cache = tmp_path_factory.mktemp("cache")
    (cache / "weights").mkdir()
    torch.manual_seed(0)
    networks = {
        MOBILE: RetinaFace(network_name="mobile0.25", device="cpu"),
        "bisenet": BiSeNet(num_class=19),
        "arcface": Backbone(num_layers=50, drop_ratio=0.6, mode="ir_se"),
    }
    for name, network in networks.items():
        prefix = "module." if name == MOBILE else ""
        state = {f"{prefix}{key}": value for key, value in network.state_dict().items()}
        torch.save(state, cache / "weights" / f"{name}.pth")
    return cache


@pytest.fixture
def random_backend(random_weights, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(random_weights))
    return load_backend(FACES)


@pytest.fixture(scope="module")
def real_frames(shared):
    frames = read_clip(shared / "faces" / "eval" / "liveportrait_d0.mp4", 0, 5)
    return list(frames), shared


@pytest.fixture
def real_backend(real_frames, random_weights, monkeypatch, tmp_path):
    """The real detector; parsing and identity have random weights."""
    weights_folder = tmp_path / "weights"
    weights_folder.mkdir()
    for name in ("bisenet", "arcface"):
        (weights_folder / f"{name}.pth").symlink_to(random_weights / "weights" / f"{name}.pth")
    weights = real_frames[1] / "weights" / "detection_mobilenet0.25_Final.pth"
    (weights_folder / f"{MOBILE}.pth").symlink_to(weights)
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    return load_backend(FACES)


def face_at(x, y, size):
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * size + (x, y)
    return Face(np.array([x, y, x + size, y + size], np.float32), points.astype(np.float32), 1.0)


def test_every_label_has_its_region():
    labels = {region: [LABELS[i] for i in np.flatnonzero(region == REGION_OF_LABEL)] for region in Region}
    assert len(LABELS) == len(REGION_OF_LABEL) == 19
    assert labels[Region.BACKGROUND] == ["background"]
    assert labels[Region.HAIR] == ["hair"]
    assert labels[Region.NECK] == ["neck"]
    assert labels[Region.CLOTH] == ["earring", "necklace", "cloth", "hat"]
    assert {"skin", "nose", "left eye", "right ear", "lower lip", "glasses"} <= set(labels[Region.FACE])


def test_detection_agrees_with_dlibs(real_backend, real_frames):
    frames, _ = real_frames
    detected = real_backend.detect(frames)
    for ours, theirs in zip(detected, load_backend(DLIB).detect(frames), strict=True):
        assert len(ours) == 1
        face = ours[0]
        assert face.box.shape == (4,)
        assert face.landmarks.shape == (5, 2)
        assert face.box.dtype == face.landmarks.dtype == np.float32
        assert 0.8 < face.score <= 1
        eyes = np.stack(eye_centres(theirs[0].landmarks))
        distance = np.linalg.norm(eyes[1] - eyes[0])
        expected = five_points(theirs[0].landmarks)
        assert np.linalg.norm(face.landmarks - expected, axis=1).max() < 0.2 * distance
        assert (face.box[:2] < expected.min(axis=0)).all()
        assert (face.box[2:] > expected.max(axis=0)).all()


def test_scale_and_batching_change_little(real_backend, real_frames):
    frames, _ = real_frames
    together = real_backend.detect(frames)
    alone = [real_backend.detect([frame])[0] for frame in frames]
    large = real_backend.detect([cv2.resize(frame, None, fx=2, fy=2) for frame in frames])
    for one, other, double in zip(together, alone, large, strict=True):
        np.testing.assert_allclose(one[0].landmarks, other[0].landmarks, atol=0.05)
        np.testing.assert_allclose(double[0].landmarks / 2, other[0].landmarks, atol=3)


def test_nothing_is_found_in_a_plain_frame(real_backend):
    assert real_backend.detect([np.full((120, 160, 3), 128, np.uint8)]) == [[]]


def test_parsing_looks_at_the_square_around_the_face(random_backend, monkeypatch):
    seen = []

    def parser(images):
        seen.append(images)
        scores = torch.zeros(len(images), 19, 512, 512)
        scores[:, LABELS.index("hair"), :256] = 1
        scores[:, LABELS.index("nose"), 256:] = 1
        return scores, None, None

    monkeypatch.setattr(random_backend, "_parser", parser)
    frames = [np.full((100, 140, 3), 255, np.uint8)] * 3
    regions = random_backend.parse(frames, [face_at(50, 30, 20)] * 3)
    assert [len(batch) for batch in seen] == [2, 1]
    assert torch.allclose(seen[0][0, :, 256, 256], torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-3)
    assert regions.shape == (3, 100, 140)
    assert regions.dtype == np.uint8
    # Twice the face's box around its centre: columns 40 to 80, rows 20 to 60.
    np.testing.assert_array_equal(np.flatnonzero(regions[0].any(axis=0))[[0, -1]], [40, 79])
    np.testing.assert_array_equal(np.flatnonzero(regions[0].any(axis=1))[[0, -1]], [20, 59])
    assert (regions[0, 20:40, 40:80] == Region.HAIR).all()
    assert (regions[0, 40:60, 40:80] == Region.FACE).all()


def test_parsing_and_identity_run_with_random_weights(random_backend):
    frames = list(np.random.default_rng(0).integers(0, 256, (3, 90, 120, 3), np.uint8))
    faces = [face_at(30, 20, 50), face_at(60, 50, 80), face_at(-20, -20, 40)]
    regions = random_backend.parse(frames, faces)
    assert regions.shape == (3, 90, 120)
    assert set(np.unique(regions)) <= set(Region)
    vectors = random_backend.embed(frames, faces)
    assert vectors.shape == (3, 512)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = random_backend.embed(frames[1:2], faces[1:2])
    np.testing.assert_allclose(alone[0], vectors[1], atol=1e-4)


def test_parts_of_five_landmarks_lie_in_the_face():
    face = face_at(100, 100, 80)
    parts = face_parts(face.landmarks)
    assert set(parts) == {"eyes", "mouth", "cheeks", "bridge"}
    for points in parts.values():
        assert (points > face.box[:2]).all()
        assert (points < face.box[2:]).all()
    assert parts["eyes"][:, 1].max() < parts["mouth"][:, 1].min()


def test_missing_and_wrong_weights_are_named(random_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=r"run `vividface weights fetch retinaface_mobile0\.25`"):
        load_backend(FACES)
    weights_folder = tmp_path / "weights"
    weights_folder.mkdir()
    (weights_folder / f"{MOBILE}.pth").symlink_to(random_weights / "weights" / f"{MOBILE}.pth")
    backend = load_backend(FACES)
    with pytest.raises(MissingWeightsError, match="run `vividface weights fetch arcface`"):
        backend.require_identity()
    torch.save({"weight": torch.zeros(1)}, weights_folder / "arcface.pth")
    with pytest.raises(InputError, match=r"arcface\.pth: does not hold the weights of arcface"):
        backend.require_identity()
    (weights_folder / "arcface.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"arcface\.pth: does not hold the weights of arcface"):
        backend.require_identity()
