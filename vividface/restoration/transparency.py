"""Transparency on its way past the model: hidden colours, and what is seen where there is no alpha.

A file stores colours also where its alpha is 0, often black or anything. Nobody sees them, so a model must
not either: it would spread them into what is seen. They come back unchanged.
"""

from __future__ import annotations

import cv2
import numpy as np

from vividface.restoration.reading import Picture


def visible_colours(picture: Picture) -> np.ndarray:
    """The pixels of a picture, (H, W, 3); where its alpha is 0 they are the nearest visible ones."""
    if picture.alpha is None:
        return picture.pixels
    hidden = picture.alpha == 0
    if not hidden.any() or hidden.all():
        return picture.pixels
    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(int(labels.max()) + 1, np.intp)
    nearest[labels[~hidden]] = np.flatnonzero(~hidden)
    return picture.pixels.reshape(-1, 3)[nearest[labels]]


def with_alpha(frame: np.ndarray, picture: Picture) -> np.ndarray:
    """A frame of a picture, (H, W, 3), with the picture's alpha and hidden colours.

    Returns:
        (H, W, 4) of the frame's type, or the frame itself where the picture has no alpha.
    """
    if picture.alpha is None:
        return frame
    alpha, hidden = _sized(picture.alpha, frame), _sized(picture.pixels, frame)
    return np.dstack([np.where(alpha[..., None] == 0, hidden, frame), alpha])


def flattened(frame: np.ndarray) -> np.ndarray:
    """A frame (H, W, 4) as it looks on white, (H, W, 3); one of three channels as it is."""
    if frame.shape[2] == 3:
        return frame
    peak = np.iinfo(frame.dtype).max
    alpha = frame[..., 3:].astype(np.float32) / peak
    return np.rint(frame[..., :3] * alpha + peak * (1 - alpha)).astype(frame.dtype)


def _sized(values: np.ndarray, frame: np.ndarray) -> np.ndarray:
    if values.shape[:2] == frame.shape[:2]:
        return values
    enlarges = frame.shape[0] > values.shape[0]
    interpolation = cv2.INTER_CUBIC if enlarges else cv2.INTER_AREA
    return np.asarray(cv2.resize(values, frame.shape[1::-1], interpolation=interpolation))
