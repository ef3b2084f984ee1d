"""Faces on ArcFace's template, as networks of identity take them."""

from __future__ import annotations

import cv2
import numpy as np

from vividface.faces.landmarks import five_points

# px: side of the template, and the eyes, the tip of the nose and the corners of the mouth on it.
_SIDE = 112
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def align(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The face on ArcFace's template, by the similarity that fits five landmarks best.

    Deng et al., "ArcFace", CVPR 2019: the template of SphereFace and InsightFace.

    Args:
        frame: (H, W, 3) uint8, RGB.
        landmarks: (K, 2), px, K = 5, 68 or 478.

    Returns:
        (112, 112, 3) uint8.
    """
    x, y = _TEMPLATE.T
    one, zero = np.ones(5), np.zeros(5)
    # From the template to the frame, as facexlib fits it: x' = a x - b y + c and y' = b x + a y + d.
    equations = np.concatenate([np.stack([x, -y, one, zero], axis=1), np.stack([y, x, zero, one], axis=1)])
    targets = five_points(landmarks).astype(np.float64).T.ravel()
    a, b, c, d = np.linalg.lstsq(equations, targets, rcond=None)[0]
    similarity, flags = np.array([[a, -b, c], [b, a, d]]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(frame, similarity, (_SIDE, _SIDE), flags=flags))
