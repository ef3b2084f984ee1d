"""Methods that take aligned faces alone, run on whole frames the way KEEP's script does (section 4.1).

CodeFormer, DifFace, KEEP and DicFace restore faces on FFHQ's template. Each clip's face is aligned by five
landmarks that are smoothed over time, restored, and pasted into a background that another method restores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from vividface.config import FacesConfig
from vividface.evaluation.methods.builtin import load_builtin
from vividface.faces.alignment import FFHQ_SIDE, align_ffhq, fit_ffhq
from vividface.faces.base import Face, FaceBackend
from vividface.faces.landmarks import five_points
from vividface.faces.load import load_backend
from vividface.faces.pasting import paste_back, paste_masks
from vividface.faces.tracking import follow, interpolate
from vividface.restoration.base import Restorer

# Frames: standard deviation of the Gaussian that smooths the landmarks over time, KEEP's.
_SMOOTH = 5
# Mean variance of the differences between two channels up to which KEEP takes a frame for grey.
_GREY = 10
_LUMA = (0.2989, 0.5870, 0.1140)
# Frames searched for faces at a time.
_BATCH = 32


@dataclass(frozen=True)
class AlignedFaces:
    """One person's face in every frame of a clip, on FFHQ's template.

    Attributes:
        crops: (F, 512, 512, 3) uint8, RGB.
        similarities: maps from the enlarged frames to the template, (F, 2, 3) float64.
        faces: the faces, in pixels of the crops.
        scale: factor by which the frames were enlarged before they were aligned, at least 1.
        is_grey: whether each frame is grey, (F,) bool.
    """

    crops: np.ndarray
    similarities: np.ndarray
    faces: list[Face]
    scale: float
    is_grey: np.ndarray


def load_aligned_protocol(
    faces_config: FacesConfig, device: str = "cpu"
) -> Callable[[np.ndarray, Restorer], np.ndarray]:
    """`restore_aligned` with a face backend, and Real-ESRGAN for the background.

    Args:
        faces_config: the face backend.
        device: device of its networks; Real-ESRGAN and those of mediapipe and dlib run on the CPU.

    Raises:
        MissingWeightsError: weights are not in the cache.
    """
    backend = load_backend(faces_config, device, threads=torch.get_num_threads())
    backend.require_identity()
    return partial(restore_aligned, backend=backend, background=load_builtin("realesrgan"))


def restore_aligned(
    frames: np.ndarray, restore: Restorer, *, backend: FaceBackend, background: Restorer
) -> np.ndarray:
    """Restore the face of a clip with one method and everything else with another.

    Args:
        frames: (F, H, W, 3) uint8, RGB, of a whole clip.
        restore: function of aligned faces (F, 512, 512, 3) uint8 that gives the same shape and type.
        backend: face backend.
        background: function of frames (F, H, W, 3) uint8 that gives the same shape and type.

    Returns:
        the frames' shape and type; the background alone where the clip shows no face in any frame.
    """
    faces = align_faces(frames, backend)
    restored = background(frames)
    return restored if faces is None else paste_faces(restored, restore(faces.crops), faces, backend=backend)


def align_faces(frames: np.ndarray, backend: FaceBackend) -> AlignedFaces | None:
    """One person's face in every frame, on FFHQ's template.

    The person is the one with the largest face over the clip, whom the metrics look at too. In frames in
    which the face is not found it is interpolated.

    Args:
        frames: (F, H, W, 3) uint8, RGB.
        backend: face backend.

    Returns:
        the faces; None where the clip shows none in any frame.
    """
    batches = (list(frames[start : start + _BATCH]) for start in range(0, len(frames), _BATCH))
    found = follow(backend, batches)
    if all(face is None for face in found):
        return None
    boxes, landmarks, _ = interpolate(found)
    scale = max(FFHQ_SIDE / min(frames.shape[1:3]), 1.0)
    boxes, landmarks = ((points + 0.5) * scale - 0.5 for points in (boxes, landmarks))
    smooth = gaussian_filter1d(five_points(landmarks).astype(np.float64), _SMOOTH, axis=0)
    similarities = np.stack([fit_ffhq(points) for points in smooth])
    return AlignedFaces(
        crops=np.stack(
            [
                align_ffhq(_enlarged(frame, scale), fit)
                for frame, fit in zip(frames, similarities, strict=True)
            ]
        ),
        similarities=similarities,
        faces=[
            Face(_moved(box.reshape(2, 2), fit).ravel(), _moved(points, fit), 1.0)
            for box, points, fit in zip(boxes, landmarks, similarities, strict=True)
        ],
        scale=scale,
        is_grey=np.array([_is_grey(frame) for frame in frames]),
    )


def paste_faces(
    background: np.ndarray, restored: np.ndarray, faces: AlignedFaces, *, backend: FaceBackend
) -> np.ndarray:
    """Frames with the restored faces in their places.

    Args:
        background: restored frames (F, H, W, 3) uint8, RGB.
        restored: restored faces (F, 512, 512, 3) uint8; those of grey frames are pasted in grey.
        faces: the faces as they were aligned.
        backend: face backend, which parses the restored faces.

    Returns:
        (F, H, W, 3) uint8.
    """
    crops = [_grey(crop) if grey else crop for crop, grey in zip(restored, faces.is_grey, strict=True)]
    masks = paste_masks(backend, crops, faces.faces)
    parts = zip(background, crops, masks, faces.similarities, strict=True)
    return np.stack(
        [
            paste_back(frame, crop, mask=mask, similarity=fit, scale=faces.scale)
            for frame, crop, mask, fit in parts
        ]
    )


def _enlarged(frame: np.ndarray, scale: float) -> np.ndarray:
    """A frame whose shorter side is at least the template's."""
    if scale == 1:
        return frame
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR))


def _moved(points: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Points (N, 2) under an affine map, float32."""
    return np.asarray(points @ similarity[:, :2].T + similarity[:, 2]).astype(np.float32)


def _is_grey(frame: np.ndarray) -> bool:
    channels = frame.astype(np.float32)
    return bool(np.mean((channels - np.roll(channels, 1, axis=-1)).var(axis=(0, 1))) <= _GREY)


def _grey(crop: np.ndarray) -> np.ndarray:
    luma = np.rint(crop @ np.array(_LUMA)).astype(np.uint8)
    return np.repeat(luma[..., None], 3, axis=-1)
