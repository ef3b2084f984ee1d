"""The alignment of faces to ArcFace's template."""

import cv2
import numpy as np
import pytest

from vividface.faces.alignment import align, align_ffhq, fit_ffhq

# ArcFace's template: eyes, nose, corners of the mouth on 112 x 112 px.
TEMPLATE = [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]]


def turned_template(degrees, factor, offset):
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (np.array(TEMPLATE) * factor) @ rotation.T + offset


def test_faces_are_aligned_to_arcfaces_template():
    frame = np.zeros((300, 300, 3), np.uint8)
    points = turned_template(30, 1.5, (110, 40))
    for index, (x, y) in enumerate(points):
        cv2.circle(frame, (round(x), round(y)), 4, (50 + 40 * index, 0, 0), -1)
    aligned = align(frame, points)
    assert aligned.shape == (112, 112, 3)
    for index, (x, y) in enumerate(TEMPLATE):
        assert abs(int(aligned[round(y), round(x), 0]) - (50 + 40 * index)) < 12


@pytest.mark.parametrize("degrees", [-40, 0, 170])
def test_alignment_equals_facexlibs(degrees):
    from facexlib.detection.align_trans import get_reference_facial_points, warp_and_crop_face

    generator = np.random.default_rng(0)
    frame = cv2.GaussianBlur(generator.integers(0, 256, (400, 400, 3), dtype=np.uint8), (0, 0), 3)
    points = turned_template(degrees, 1.7, (200, 200)) + generator.normal(0, 4, (5, 2))
    expected = warp_and_crop_face(frame, points, get_reference_facial_points(default_square=True), (112, 112))
    assert np.abs(align(frame, points).astype(int) - expected).max() <= 1


def test_restorations_template_equals_facexlibs(monkeypatch):
    from facexlib.utils import face_restoration_helper

    for name in ("init_detection_model", "init_parsing_model"):
        monkeypatch.setattr(face_restoration_helper, name, lambda *_, **__: None)
    helper = face_restoration_helper.FaceRestoreHelper(1, device="cpu")
    generator = np.random.default_rng(0)
    frame = cv2.GaussianBlur(generator.integers(0, 256, (300, 400, 3), dtype=np.uint8), (0, 0), 3)
    points = turned_template(20, 1.4, (150, 20)) + generator.normal(0, 4, (5, 2))
    helper.read_image(np.ascontiguousarray(frame[..., ::-1]))
    helper.all_landmarks_5 = [points]
    helper.align_warp_face()
    # facexlib's images are BGR, and so is the grey beyond the frame.
    expected = helper.cropped_faces[0][..., ::-1]
    np.testing.assert_array_equal(align_ffhq(frame, fit_ffhq(points)), expected)
    assert (expected == (132, 133, 135)).all(axis=-1).any()
