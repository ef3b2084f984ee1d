"""Faces on the templates of other networks: ArcFace's for identity, FFHQ's for restoration."""

from __future__ import annotations

import cv2
import numpy as np

from vividface.faces.landmarks import five_points

# px: side of the template, and the eyes, the tip of the nose and the corners of the mouth on it.
_SIDE = 112
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)

# px: side of FFHQ's aligned faces as networks of restoration take them, and RetinaFace's five points on them.
FFHQ_SIDE = 512
_FFHQ_TEMPLATE = np.array(
    [
        *([192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935]),
        *([201.26117, 371.41043], [313.08905, 371.15118]),
    ]
)
# RGB of what lies beyond the frame, facexlib's grey.
_BEYOND = (132, 133, 135)


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


def fit_ffhq(landmarks: np.ndarray) -> np.ndarray:
    """The similarity from a frame to FFHQ's template, robust against a landmark that is off.

    By least median of squares, as facexlib's FaceRestoreHelper, which CodeFormer, DifFace, KEEP and DicFace
    align with.

    Args:
        landmarks: (K, 2), px, K = 5, 68 or 478.

    Returns:
        (2, 3) float64, as OpenCV's warps take it.
    """
    points = five_points(landmarks).astype(np.float64)
    return np.asarray(cv2.estimateAffinePartial2D(points, _FFHQ_TEMPLATE, method=cv2.LMEDS)[0])


def align_ffhq(frame: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """The face on FFHQ's template; grey beyond the frame.

    Args:
        frame: (H, W, 3) uint8, RGB.
        similarity: map of `fit_ffhq`.

    Returns:
        (512, 512, 3) uint8.
    """
    size = (FFHQ_SIDE, FFHQ_SIDE)
    return np.asarray(
        cv2.warpAffine(frame, similarity, size, borderMode=cv2.BORDER_CONSTANT, borderValue=_BEYOND)
    )
