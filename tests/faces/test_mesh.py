"""FaceMesh against MediaPipe's own answer."""

from dataclasses import replace

import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.errors import InputError
from vividface.faces.load import load_backend
from vividface.faces.mesh import FaceMesh, RefinedFaceMesh
from vividface.video import read_clip
from vividface.weights.cache import fetch_groups

# MediaPipe 0.10.14's own answer (solutions.face_mesh, settled on the frame) for frame 0 of HDTF_1_GT.mp4.
MEDIAPIPE = {
    RefinedFaceMesh: {
        1: (300.92, 201.23),
        33: (264.7, 159.0),
        263: (363.26, 166.09),
        61: (272.87, 239.75),
        14: (299.67, 241.77),
        159: (277.09, 153.52),
        152: (298.26, 294.48),
        468: (280.8, 159.05),
        473: (350.88, 163.91),
    },
    FaceMesh: {
        1: (301.44, 199.42),
        33: (263.12, 157.4),
        263: (364.85, 165.84),
        61: (275.18, 237.71),
        14: (300.91, 240.42),
        159: (276.82, 152.57),
        152: (298.06, 294.3),
    },
}


@pytest.mark.parametrize("network", [RefinedFaceMesh, FaceMesh])
def test_mesh_is_mediapipes(network, shared):
    try:
        fetch_groups(["facemesh"])
    except InputError as error:
        pytest.skip(f"the weights of facemesh are not to be had here: {error}")
    frame = read_clip(shared / "faces" / "bench" / "HDTF_1_GT.mp4", 0, 1)[0]
    face = load_backend(FacesConfig(backend="dlib", detection_size=640)).detect([frame])[0][0]
    mesh = network()
    points = mesh.fit(frame, face)
    expected = MEDIAPIPE[network]
    errors = np.linalg.norm(points[list(expected)] - np.array(list(expected.values())), axis=1)
    assert errors.max() < 0.25
    moved = mesh.fit(frame, replace(face, landmarks=face.landmarks + np.float32((4, -3))))
    assert np.linalg.norm(points - moved, axis=1).mean() < 0.1
