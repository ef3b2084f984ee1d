"""How far a face is turned away from the camera, by its landmarks."""

from __future__ import annotations

import numpy as np

from vividface.faces.landmarks import five_points

# A head's rigid points by FaceMesh's index, in distances of the eyes' outer corners: x to the image's right,
# y down, z away from the camera. The median over the faces of 103 clips, as FaceMesh sees them in space.
_HEAD = {
    33: (-0.50, -0.09, 0.03),
    263: (0.50, -0.09, 0.03),
    133: (-0.19, -0.08, -0.03),
    362: (0.19, -0.08, -0.03),
    98: (-0.19, 0.39, -0.22),
    327: (0.19, 0.39, -0.22),
    127: (-0.78, -0.01, 0.59),
    356: (0.78, -0.01, 0.59),
    234: (-0.78, 0.16, 0.62),
    454: (0.78, 0.16, 0.62),
    117: (-0.59, 0.10, 0.02),
    346: (0.59, 0.10, 0.02),
    168: (0.0, -0.16, -0.21),
    6: (0.0, -0.07, -0.26),
    197: (0.0, 0.0, -0.32),
    1: (0.0, 0.32, -0.48),
    10: (0.0, -0.72, -0.11),
    151: (0.0, -0.54, -0.16),
}
# The same of the eyes' centres, the tip of the nose and the corners of the mouth.
_FIVE = np.array(
    [(-0.36, -0.09, -0.03), (0.36, -0.09, -0.03), (0, 0.24, -0.50), (-0.29, 0.67, -0.10), (0.29, 0.67, -0.10)]
)
# Extent across over extent along below which landmarks are a line.
_LINE = 1e-3


def head_turn(landmarks: np.ndarray) -> np.ndarray:
    """The angle between where faces look and the way to the camera, whichever way they are turned.

    An affine map of a mean head's points onto the landmarks, by least squares, whose nearest rotation is the
    head's (weak perspective).

    Args:
        landmarks: (..., K, 2) in pixels, K = 478, 68 or 5.

    Returns:
        (...) float64, degrees in [0, 180]; 0 where the landmarks lie on a line and tell nothing. FaceMesh
        sees a full profile at 55 to 65.
    """
    if landmarks.shape[-2] == 478:
        points, head = landmarks[..., list(_HEAD), :], np.array(list(_HEAD.values()))
    else:
        points, head = five_points(landmarks), _FIVE
    points = points.astype(np.float64)
    affine = np.linalg.pinv(head - head.mean(axis=0)) @ (points - points.mean(axis=-2, keepdims=True))
    left, sizes, right = np.linalg.svd(np.swapaxes(affine, -1, -2), full_matrices=False)
    across, down = np.moveaxis(left @ right, -2, 0)
    forward = np.cross(across, down)[..., 2]
    degrees = np.degrees(np.arccos(np.clip(forward, -1, 1)))
    return np.where(sizes[..., 1] > _LINE * sizes[..., 0], degrees, 0.0)
