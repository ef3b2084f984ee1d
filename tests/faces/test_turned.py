"""Heads that lie on their side."""

import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.faces.load import load_backend
from vividface.faces.turned import detect, quarter_turns
from vividface.video import read_clip


@pytest.fixture(scope="module")
def backend():
    return load_backend(FacesConfig.of_backend("mediapipe"), "cpu")


@pytest.fixture(scope="module")
def frames(face_video):
    return list(read_clip(face_video, 30, 34))


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_turned_head_is_found_where_it_is(turns, backend, frames):
    upright = [faces[0] for faces in backend.detect(frames)]
    turned = [np.ascontiguousarray(np.rot90(frame, -turns)) for frame in frames]
    height, width = frames[0].shape[:2]
    found = detect(backend, turned)
    assert [len(faces) for faces in found] == [1] * len(frames)
    for before, (after,) in zip(upright, found, strict=True):
        x, y = before.landmarks.T
        expected = {0: (x, y), 1: (height - 1 - y, x), 3: (y, width - 1 - x)}[turns]
        assert np.abs(after.landmarks.T - expected).max() < 1
        assert quarter_turns(after.landmarks) == turns
        assert after.box[0] < after.box[2]
        assert after.box[1] < after.box[3]


def test_no_face_is_none_in_any_turn(backend):
    ramp = np.linspace(0, 255, 320, dtype=np.uint8)
    frame = np.repeat(np.repeat(ramp[None, :, None], 240, axis=0), 3, axis=2)
    assert detect(backend, [frame] * 4) == [[]] * 4
