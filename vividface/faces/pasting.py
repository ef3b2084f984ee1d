"""Restored faces of FFHQ's template put back into their frames, as KEEP's FaceRestoreHelper does."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vividface.faces.alignment import FFHQ_SIDE
from vividface.faces.base import Face, FaceBackend, Region

# px: how far within the template the box ends, and the softness of its edge and of the parsed face's.
_INSET, _BOX_SIGMA, _FACE_SIGMA = 26, 8.0, 11 * 2**0.5
# px: border of the template that the parsed face keeps away from.
_BORDER = 10


def paste_masks(backend: FaceBackend, crops: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
    """Soft masks of what is put back: the parsed face and its hair, within a box inside the template.

    Args:
        backend: face backend, which parses the faces.
        crops: restored faces (512, 512, 3) uint8, RGB, F of them.
        faces: the same faces, in pixels of the crops.

    Returns:
        (F, 512, 512) float32 in [0, 1].
    """
    parsed = np.isin(backend.parse(crops, faces), [int(Region.FACE), int(Region.HAIR)])
    box = np.zeros((FFHQ_SIDE, FFHQ_SIDE), np.float32)
    box[_INSET:-_INSET, _INSET:-_INSET] = 1
    box = cv2.GaussianBlur(box, (0, 0), _BOX_SIGMA)
    masks = np.zeros(parsed.shape, np.float32)
    inner = slice(_BORDER, -_BORDER)
    for mask, face in zip(masks, parsed.astype(np.float32), strict=True):
        mask[inner, inner] = np.minimum(cv2.GaussianBlur(face, (0, 0), _FACE_SIGMA), box)[inner, inner]
    return masks


def paste_back(
    frame: np.ndarray, crop: np.ndarray, *, mask: np.ndarray, similarity: np.ndarray, scale: float = 1
) -> np.ndarray:
    """A frame with a face of FFHQ's template in its place.

    Args:
        frame: (H, W, 3) uint8, RGB.
        crop: the restored face, (512, 512, 3) uint8.
        mask: what of it is put back, (512, 512) float32 in [0, 1].
        similarity: map from the frame, enlarged by `scale`, to the template.
        scale: factor by which the frame was enlarged before it was aligned, at least 1.

    Returns:
        (H, W, 3) uint8; where the mask is 0, the frame's own pixels.
    """
    height, width = frame.shape[:2]
    enlarged = (round(width * scale), round(height * scale))
    inverse = cv2.invertAffineTransform(similarity)
    # Continued at its edges, since the mask alone says where the face ends.
    face = cv2.warpAffine(crop, inverse, enlarged, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    share = cv2.warpAffine(mask, inverse, enlarged)[..., None]
    face *= share
    if scale > 1:
        face, share = (
            cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA) for part in (face, share)
        )
        share = share[..., None]
    return np.asarray(np.rint(face + (1 - share) * frame).clip(0, 255).astype(np.uint8))
