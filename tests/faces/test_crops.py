"""Crop boxes, and crops cut out of frames."""

import numpy as np
import pytest

from vividface.faces.base import Face
from vividface.faces.crops import CropBox, crop_frame, face_box, unified_crop


def make_face(x: float, y: float, size: float, score: float = 1.0) -> Face:
    box = np.array([x, y, x + size, y + size], np.float32)
    grid = np.linspace(0, size, 68, dtype=np.float32)
    return Face(box, np.stack([x + grid, y + grid], axis=1), score)


def test_the_face_box_reaches_over_the_forehead_and_holds_the_detectors_box():
    face = make_face(100, 100, 40)
    np.testing.assert_allclose(face_box(face.box, face.landmarks), [100, 80, 140, 140])
    wide = np.array([90, 60, 130, 130], np.float32)
    np.testing.assert_allclose(face_box(wide, face.landmarks), [90, 60, 140, 140])
    both = face_box(np.stack([face.box, wide]), np.stack([face.landmarks] * 2))
    np.testing.assert_allclose(both, [[100, 80, 140, 140], [90, 60, 140, 140]])
    np.testing.assert_allclose(face_box(wide, face.landmarks[:5]), wide)
    mesh = np.linspace((100, 100), (140, 140), 478, dtype=np.float32)
    np.testing.assert_allclose(face_box(face.box, mesh), [100, 89.2, 140, 140], atol=1e-4)


def unified(*boxes, height, width, margin):
    return unified_crop(np.array(boxes, np.float32), frame_height=height, frame_width=width, margin=margin)


def test_the_crop_holds_every_box_with_its_margin():
    box = unified([100, 100, 150, 160], [120, 90, 200, 150], height=480, width=640, margin=0.5)
    assert box == CropBox(150 - 75, 125 - 75, 150)  # 100 wide, 70 high, by 1.5
    assert box.padding_share(height=480, width=640) == 0


def test_the_crop_is_shifted_into_the_frame():
    box = unified([0, 380, 100, 470], height=480, width=640, margin=0.4)
    assert box == CropBox(0, 340, 140)
    assert box.padding_share(height=480, width=640) == 0


def test_the_margin_yields_to_the_frame_before_padding_is_used():
    assert unified([20, -30, 180, 190], height=200, width=200, margin=0.3) == CropBox(0, 0, 200)


def test_a_union_larger_than_the_frame_is_padded():
    box = unified([0, 0, 60, 60], [240, 0, 300, 60], height=100, width=400, margin=0.0)
    assert box == CropBox(0, -100, 300)
    assert box.padding_share(height=100, width=400) == pytest.approx(2 / 3)


def test_crop_cuts_exactly_and_replicates_edges():
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    np.testing.assert_array_equal(crop_frame(frame, CropBox(10, 5, 16), 16), frame[5:21, 10:26])
    beyond = crop_frame(frame, CropBox(-4, 30, 16), 16)
    np.testing.assert_array_equal(beyond[:10, 4:], frame[30:, :12])
    np.testing.assert_array_equal(beyond[:10, :4], np.repeat(frame[30:, :1], 4, axis=1))
    np.testing.assert_array_equal(beyond[10:, 4:], np.repeat(frame[39:, :12], 6, axis=0))


def test_crop_averages_areas_when_shrinking():
    frame = np.zeros((32, 32, 3), np.uint8)
    frame[::2] = 200
    np.testing.assert_array_equal(
        crop_frame(frame, CropBox(0, 0, 32), 16), np.full((16, 16, 3), 100, np.uint8)
    )
    assert crop_frame(frame, CropBox(0, 0, 8), 16).shape == (16, 16, 3)


def test_landmarks_in_the_crop_lie_where_the_picture_is():
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[40:44, 60:64] = 255
    box = CropBox(20, 10, 64)
    for size in (128, 32):
        y, x = np.nonzero(crop_frame(frame, box, size)[:, :, 0] > 127)
        centre = box.to_crop(np.array([[61.5, 41.5]]), size)
        np.testing.assert_allclose(centre, [[x.mean(), y.mean()]], atol=1e-4)
        assert centre.dtype == np.float32


def test_the_affine_matrix_maps_points_as_to_crop_does():
    points = np.random.default_rng(0).uniform(0, 100, (5, 2))
    for box in (CropBox(20, -10, 64), CropBox(3.25, 7.5, 41.5)):
        matrix = box.transform(128)
        np.testing.assert_allclose(
            points @ matrix[:, :2].T + matrix[:, 2], box.to_crop(points, 128), atol=1e-4
        )
