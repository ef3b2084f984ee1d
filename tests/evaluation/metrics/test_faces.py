"""The face metrics: identity, landmarks and their motion."""

from dataclasses import replace

import numpy as np
import pytest

from vividface.evaluation.metrics import METRICS, Clip, NotMeasurableError
from vividface.evaluation.metrics.features import ClipFaces


def synthetic_faces(count=5, found=None):
    """A face that moves by (1, 0) px a frame, with random identities."""
    generator = np.random.default_rng(1)
    steps = np.arange(count, dtype=np.float32)[:, None, None] * (1, 0)
    features = {
        f"mesh_{points}": (generator.uniform(20, 80, (1, points, 2)) + steps).astype(np.float32)
        for points in (468, 478)
    }
    for name in ("identity", "identity_mobilefacenet"):
        identity = generator.normal(size=(count, 128)).astype(np.float32)
        features[name] = identity / np.linalg.norm(identity, axis=1, keepdims=True)
    landmarks = (generator.uniform(20, 80, (1, 68, 2)) + steps).astype(np.float32)
    features["fitted_landmarks"] = landmarks
    boxes = np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1)
    return ClipFaces(boxes, landmarks, np.ones(count, bool) if found is None else np.array(found), features)


def shifted(faces, offset):
    names = ("mesh_468", "mesh_478", "fitted_landmarks")
    points = {name: faces.features[name] + np.float32(offset) for name in names}
    return replace(faces, landmarks=faces.landmarks + np.float32(offset), features=faces.features | points)


def clip_of(faces, reference):
    frames = np.zeros((len(faces.found), 100, 200, 3), np.uint8)
    return Clip(frames=frames, reference=frames, faces=faces, reference_faces=reference)


def test_landmark_distances_are_in_units_of_the_frame():
    reference = synthetic_faces()
    clip = clip_of(shifted(reference, (2, 0)), reference)
    for name in ("akd", "akd_468", "akd_68"):
        assert METRICS[name]().measure(clip) == pytest.approx(1000 * 2 / 200, rel=1e-4)
    vertical = clip_of(shifted(reference, (0, 2)), reference)
    assert METRICS["akd"]().measure(vertical) == pytest.approx(1000 * 2 / 100, rel=1e-4)


def test_motion_counts_changes_of_place_not_places():
    reference = synthetic_faces()
    assert METRICS["tlme"]().measure(clip_of(shifted(reference, (7, 3)), reference)) == pytest.approx(
        0, abs=1e-3
    )
    frozen = np.repeat(reference.features["mesh_478"][:1], 5, axis=0)
    still = replace(reference, features=reference.features | {"mesh_478": frozen})
    assert METRICS["tlme"]().measure(clip_of(still, reference)) == pytest.approx(1000 / 200, rel=1e-4)
    assert METRICS["landmark_motion"]().measure(clip_of(still, reference)) == 0
    assert METRICS["landmark_motion"]().measure(clip_of(reference, reference)) == pytest.approx(5, rel=1e-4)


def test_identity_is_a_mean_of_cosines_over_all_frames():
    reference = synthetic_faces()
    identity = reference.features["identity"].copy()
    assert METRICS["ids_dlib"]().measure(clip_of(reference, reference)) == pytest.approx(1)
    identity[-1] *= -1
    flipped = replace(reference, features=reference.features | {"identity": identity})
    assert METRICS["ids_dlib"]().measure(clip_of(flipped, reference)) == pytest.approx(3 / 5)
    constant = np.repeat(identity[:1], 5, axis=0)
    steady = replace(reference, features=reference.features | {"identity": constant})
    assert METRICS["facecons_dlib"]().measure(clip_of(steady, reference)) == pytest.approx(1)
    expected = (identity[1:] @ identity[0]).mean()
    assert METRICS["facecons_dlib"]().measure(clip_of(flipped, reference)) == pytest.approx(expected)


def test_identity_distance_is_a_mean_over_neighbours():
    faces = synthetic_faces()
    identity = faces.features["identity"]
    expected = np.mean([np.sqrt(((a - b) ** 2).sum()) for a, b in zip(identity[1:], identity, strict=False)])
    assert METRICS["vidd_dlib"]().measure(clip_of(faces, None)) == pytest.approx(expected, rel=1e-5)
    steady = replace(faces, features={"identity": np.repeat(identity[:1], 5, axis=0)})
    assert METRICS["vidd_dlib"]().measure(clip_of(steady, None)) == 0


def test_mobilefacenets_variants_take_its_identity():
    reference = synthetic_faces()
    opposite = {"identity_mobilefacenet": -reference.features["identity_mobilefacenet"]}
    restored = replace(reference, features=reference.features | opposite)
    clip = clip_of(restored, reference)
    assert METRICS["ids_mobilefacenet"]().measure(clip) == pytest.approx(-1)
    assert METRICS["ids_dlib"]().measure(clip) == pytest.approx(1)
    for name in ("facecons", "vidd"):
        values = [METRICS[f"{name}_{network}"]().measure(clip) for network in ("mobilefacenet", "dlib")]
        assert abs(values[0] - values[1]) > 1e-3


def test_undetected_frames_do_not_count_as_perfect_landmarks():
    """Where the restored face is lost, its landmarks are the true ones; those fitted there count."""
    reference = synthetic_faces()
    lost = replace(shifted(reference, (2, 0)), landmarks=reference.landmarks, found=np.zeros(5, bool))
    assert METRICS["akd_68"]().measure(clip_of(lost, reference)) == pytest.approx(10, rel=1e-4)


def test_akd_68_of_a_mesh_is_that_of_ibugs_points():
    reference = synthetic_faces()
    mesh = reference.features["mesh_478"]
    moved = mesh.copy()
    moved[:, 468:] += 50  # the irises are none of them
    whole, irises, shifted = (
        replace(reference, features=reference.features | {"fitted_landmarks": points})
        for points in (mesh, moved, mesh + 1)
    )
    assert METRICS["akd_68"]().measure(clip_of(irises, whole)) == 0
    assert METRICS["akd_68"]().measure(clip_of(shifted, whole)) > 0


def test_a_clip_in_which_no_restored_face_is_detected_has_a_value():
    reference, lost = synthetic_faces(), synthetic_faces(found=[False] * 5)
    for name in ("akd", "akd_68", "ids_dlib", "tlme", "facecons_dlib", "landmark_motion"):
        assert np.isfinite(METRICS[name]().measure(clip_of(lost, reference)))


def test_reasons_why_a_clip_has_no_value():
    reference = synthetic_faces()
    nowhere = replace(reference, boxes=np.zeros((5, 4), np.float32), found=np.zeros(5, bool), features={})
    for name in ("ids_dlib", "facecons_dlib"):
        with pytest.raises(NotMeasurableError, match="no face is found in the ground truth"):
            METRICS[name]().measure(clip_of(nowhere, nowhere))
    alone = replace(clip_of(nowhere, None), reference=None)
    with pytest.raises(NotMeasurableError, match="no face is found in the clip"):
        METRICS["facecons_dlib"]().measure(alone)
    with pytest.raises(NotMeasurableError, match="no face is found in the degraded input"):
        METRICS["facecons_dlib"]().measure(replace(alone, input_faces=nowhere))
    few = replace(reference, landmarks=reference.landmarks[:, :5])
    with pytest.raises(NotMeasurableError, match="gives 5 landmarks, not 68"):
        METRICS["akd_68"]().measure(clip_of(few, few))
    single = synthetic_faces(1)
    for name in ("tlme", "landmark_motion", "facecons_dlib", "vidd_dlib"):
        with pytest.raises(NotMeasurableError, match="fewer than 2 frames"):
            METRICS[name]().measure(clip_of(single, single))
