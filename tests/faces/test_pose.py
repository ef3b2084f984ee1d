"""How far a face is turned away, on a head that is turned and on real ones."""

import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.faces.landmarks import five_points
from vividface.faces.load import load_backend
from vividface.faces.pose import _FIVE, _HEAD, head_turn
from vividface.video import iterate_frames


def turned(head, yaw, pitch, roll=0.0):
    """Points of a head turned by degrees, as a camera far away sees them, in pixels."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    points = head @ (about_z @ about_x @ about_y).T
    return (points[:, :2] * 90 + (300, 200)).astype(np.float32)


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (30, 0), (-30, 0), (0, 25), (50, -20), (90, 0)])
def test_the_angle_is_the_heads(yaw, pitch):
    expected = np.degrees(np.arccos(np.cos(np.radians(yaw)) * np.cos(np.radians(pitch))))
    for roll in (0, 40):
        assert head_turn(turned(_FIVE, yaw, pitch, roll)) == pytest.approx(expected, abs=0.5)
        mesh = np.zeros((478, 2), np.float32)
        mesh[list(_HEAD)] = turned(np.array(list(_HEAD.values())), yaw, pitch, roll)
        assert head_turn(np.stack([mesh, mesh])) == pytest.approx([expected] * 2, abs=0.5)


def test_landmarks_that_tell_nothing_are_of_no_turned_face():
    line = np.linspace(0, 9, 5)[:, None] * (1.0, 2.0)
    assert head_turn(line) == head_turn(np.ones((5, 2))) == 0


def test_a_real_face_that_looks_here_and_one_in_profile(face_video, shared):
    backend = load_backend(FacesConfig.of_backend("mediapipe"))
    (here,) = backend.detect([next(iterate_frames(face_video))])[0]
    profile = next(iterate_frames(shared / "faces/bench/RFV-LQ_1_LQ.mp4", 30, 31))
    (aside,) = backend.detect([profile])[0]
    assert head_turn(here.landmarks) < 25
    assert head_turn(aside.landmarks) > 50
    for face in (here, aside):
        assert head_turn(five_points(face.landmarks)) == pytest.approx(head_turn(face.landmarks), abs=10)
