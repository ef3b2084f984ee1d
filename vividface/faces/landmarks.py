"""Parts of the face by its landmarks: 68 (iBUG 300-W), 478 (FaceMesh), or 5 (eyes, nose, mouth's corners)."""

from __future__ import annotations

import numpy as np

_CHEEKS = [1, 2, 3, 13, 14, 15, 31, 35]
# FaceMesh's point nearest to each of iBUG's, in the mean over clips of 64 people on which dlib found its own.
_JAW = [127, 234, 177, 215, 138, 136, 149, 148, 152, 377, 378, 365, 367, 435, 401, 454, 356]
_BROWS = [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]
_NOSE = [168, 197, 5, 4, 75, 97, 2, 326, 305]
_EYES = [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
_MOUTH = [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87]
_IBUG_OF_MESH = _JAW + _BROWS + _NOSE + _EYES + _MOUTH


def ibug(landmarks: np.ndarray) -> np.ndarray:
    """The 68 landmarks of the iBUG 300-W annotation, (..., 68, 2), of 68 or 478 landmarks.

    Args:
        landmarks: (..., K, 2), K = 68 or 478.
    """
    return landmarks if landmarks.shape[-2] == 68 else landmarks[..., _IBUG_OF_MESH, :]


def eye_centres(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centres of the eye on the image's left and of that on its right.

    Args:
        landmarks: (..., K, 2), K = 68, 5 or 478.

    Returns:
        two arrays (..., 2).
    """
    if landmarks.shape[-2] == 5:
        return landmarks[..., 0, :], landmarks[..., 1, :]
    points = ibug(landmarks)
    return points[..., 36:42, :].mean(axis=-2), points[..., 42:48, :].mean(axis=-2)


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """The eyes, the tip of the nose and the corners of the mouth, (..., 5, 2), of 68, 5 or 478 landmarks."""
    if landmarks.shape[-2] == 5:
        return landmarks
    left, right = eye_centres(landmarks)
    rest = [ibug(landmarks)[..., index, :] for index in (30, 48, 54)]
    return np.stack([left, right, *rest], axis=-2)


def face_parts(landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """Points whose bounding boxes are the parts of one face.

    Args:
        landmarks: (K, 2), K = 68, 5 or 478.

    Returns:
        `eyes`, `mouth` and `cheeks`, each (N, 2), and `bridge`, (1, 2), on the bridge of the nose. With 5
        landmarks the boxes of eyes and mouth are a quarter of the eyes' distance away from their points.
    """
    if len(landmarks) != 5:
        points = ibug(landmarks)
        return {
            "eyes": points[36:48],
            "mouth": points[48:68],
            "cheeks": points[_CHEEKS],
            "bridge": points[27:31].mean(axis=0, keepdims=True),
        }
    eyes, nose, mouth = landmarks[:2], landmarks[2:3], landmarks[3:]
    reach = np.linalg.norm(eyes[1] - eyes[0]) / 4
    return {
        "eyes": np.concatenate([eyes - reach, eyes + reach]),
        "mouth": np.concatenate([mouth - reach, mouth + reach]),
        "cheeks": np.concatenate([(eyes + mouth) / 2, nose]),
        "bridge": (eyes.mean(axis=0, keepdims=True) + nose) / 2,
    }
