"""Restored faces put back into their frames."""

import cv2
import numpy as np
import pytest
import torch

from vividface.faces.alignment import align_ffhq, fit_ffhq
from vividface.faces.base import Face, Region
from vividface.faces.pasting import paste_back, paste_masks

FACE = Face(np.array([150, 150, 360, 440], np.float32), np.zeros((5, 2), np.float32), 1.0)


class EllipseBackend:
    """Parses an ellipse in the middle as the face, and what is above as hair."""

    def __init__(self, axes=(110, 150)):
        self.parsed = np.zeros((512, 512), np.uint8)
        cv2.ellipse(self.parsed, (256, 300), axes, 0, 0, 360, int(Region.FACE), -1)

    def parse(self, frames, faces):
        return np.stack([self.parsed] * len(frames))


def smooth_picture(height, width):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 4).astype(np.float64)
    return np.clip((blurred - 128) * 6 + 128, 0, 255).astype(np.uint8)


def similarity_of(angle, scale, shift):
    turn = np.deg2rad(angle)
    rows = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return np.column_stack([np.array(rows) * scale, shift])


def facexlib_helper(monkeypatch, parsed):
    """facexlib's own, with a parser that gives these labels."""
    from facexlib.utils import face_restoration_helper

    for name in ("init_detection_model", "init_parsing_model"):
        monkeypatch.setattr(face_restoration_helper, name, lambda *_, **__: None)
    helper = face_restoration_helper.FaceRestoreHelper(1, use_parse=True, device="cpu")
    labels = torch.nn.functional.one_hot(torch.from_numpy(parsed).long(), 19)
    helper.face_parse = lambda _: [labels.permute(2, 0, 1)[None].float()]
    return helper


def test_pasting_equals_facexlibs(monkeypatch):
    backend = EllipseBackend()
    frame, crop = smooth_picture(600, 640), smooth_picture(512, 512)[::-1]
    similarity = similarity_of(12, 0.9, (10, -60))
    helper = facexlib_helper(monkeypatch, backend.parsed)
    helper.read_image(frame)
    helper.add_restored_face(np.ascontiguousarray(crop))
    helper.affine_matrices = [similarity]
    helper.get_inverse_affine()
    expected = helper.paste_faces_to_input_image().astype(int)
    mask = paste_masks(backend, [crop], [FACE])[0]
    result = paste_back(frame, crop, mask=mask, similarity=similarity)
    # facexlib cuts off what is behind the decimal point.
    assert np.abs(result - expected).max() <= 2


def test_masks_hold_the_face_and_keep_within_the_template():
    everything = EllipseBackend(axes=(700, 700))
    mask = paste_masks(everything, [np.zeros((512, 512, 3), np.uint8)], [FACE])[0]
    assert mask[256, 256] == pytest.approx(1)
    assert mask[:10].max() == mask[:, -10:].max() == 0
    assert 0.3 < mask[26, 256] < 0.7
    mask = paste_masks(EllipseBackend(), [np.zeros((512, 512, 3), np.uint8)], [FACE])[0]
    assert mask[300, 256] > 0.99
    assert mask[60, 256] == 0


@pytest.mark.parametrize("scale", [1, 2])
def test_a_face_that_nobody_changed_changes_no_frame_visibly(scale):
    frame = smooth_picture(512, 600)
    enlarged = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    similarity = similarity_of(7, 0.8 / scale, (40, 50))
    crop = align_ffhq(enlarged, similarity)
    mask = paste_masks(EllipseBackend(), [crop], [FACE])[0]
    result = paste_back(frame, crop, mask=mask, similarity=similarity, scale=scale)
    white = paste_back(
        np.zeros_like(frame), np.full_like(crop, 255), mask=mask, similarity=similarity, scale=scale
    )[..., 0]
    inside = white > 250
    assert inside.sum() > 20000
    error = (result[inside].astype(float) - frame[inside]) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 30
    np.testing.assert_array_equal(result[white == 0], frame[white == 0])


def test_a_face_that_reaches_beyond_the_frame_is_pasted_to_its_edge():
    frame = smooth_picture(512, 512)
    similarity = similarity_of(0, 1, (250, 0))
    crop = align_ffhq(frame, similarity)
    mask = paste_masks(EllipseBackend(), [crop], [FACE])[0]
    result = paste_back(frame, 255 - crop, mask=mask, similarity=similarity)
    np.testing.assert_allclose(result[300, :40], 255 - frame[300, :40], atol=3)


def test_the_template_is_where_the_landmarks_are():
    points = np.array([[100, 100], [180, 100], [140, 145], [106, 182], [176, 182]], np.float32)
    similarity = fit_ffhq(points)
    eyes = points[:2] @ similarity[:, :2].T + similarity[:, 2]
    np.testing.assert_allclose(eyes, [[193, 240], [319, 240]], atol=8)
