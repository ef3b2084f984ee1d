"""Parts of the face by its landmarks, 68 (iBUG 300-W) or 5 (eyes, nose, corners of the mouth)."""

from __future__ import annotations

import numpy as np

_CHEEKS = [1, 2, 3, 13, 14, 15, 31, 35]


def eye_centres(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centres of the eye on the image's left and of that on its right.

    Args:
        landmarks: (..., K, 2), K = 68 or 5.

    Returns:
        two arrays (..., 2).
    """
    if landmarks.shape[-2] == 68:
        return landmarks[..., 36:42, :].mean(axis=-2), landmarks[..., 42:48, :].mean(axis=-2)
    return landmarks[..., 0, :], landmarks[..., 1, :]


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """The eyes, the tip of the nose and the corners of the mouth, (..., 5, 2), of 68 or 5 landmarks."""
    if landmarks.shape[-2] == 5:
        return landmarks
    left, right = eye_centres(landmarks)
    rest = [landmarks[..., index, :] for index in (30, 48, 54)]
    return np.stack([left, right, *rest], axis=-2)


def face_parts(landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """Points whose bounding boxes are the parts of one face.

    Args:
        landmarks: (K, 2), K = 68 or 5.

    Returns:
        `eyes`, `mouth` and `cheeks`, each (N, 2), and `bridge`, (1, 2), on the bridge of the nose. With 5
        landmarks the boxes of eyes and mouth are a quarter of the eyes' distance away from their points.
    """
    if len(landmarks) == 68:
        return {
            "eyes": landmarks[36:48],
            "mouth": landmarks[48:68],
            "cheeks": landmarks[_CHEEKS],
            "bridge": landmarks[27:31].mean(axis=0, keepdims=True),
        }
    eyes, nose, mouth = landmarks[:2], landmarks[2:3], landmarks[3:]
    reach = np.linalg.norm(eyes[1] - eyes[0]) / 4
    return {
        "eyes": np.concatenate([eyes - reach, eyes + reach]),
        "mouth": np.concatenate([mouth - reach, mouth + reach]),
        "cheeks": np.concatenate([(eyes + mouth) / 2, nose]),
        "bridge": (eyes.mean(axis=0, keepdims=True) + nose) / 2,
    }
