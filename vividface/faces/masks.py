"""Face masks in pixels, and on the latent grid (Eq. 4-5)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file
from torch import Tensor

from vividface.files import atomic_path
from vividface.video import probe, write_clip

_JAW_TO_BROW = slice(0, 27)
_BROWS = slice(17, 27)
_CHIN = 8


def face_mask(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """The face as the convex hull of its landmarks, raised over the forehead.

    The 68 landmarks end at the brows; the brows, moved up from the chin by two fifths of the distance of chin
    and brows, stand for the hairline.

    Args:
        landmarks: (68, 2) in pixels.
        height: of the mask.
        width: of the mask.

    Returns:
        (H, W) bool.
    """
    brows = landmarks[_BROWS]
    up = brows.mean(axis=0) - landmarks[_CHIN]
    outline = np.concatenate([landmarks[_JAW_TO_BROW], brows + 0.4 * up])
    hull = cv2.convexHull(np.rint(outline).astype(np.int32))
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, hull, 1)
    return mask.astype(bool)


def clip_masks(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Masks (F, H, W) bool of a clip's landmarks (F, 68, 2)."""
    return np.stack([face_mask(points, height, width) for points in landmarks])


def align_mask(mask: Tensor | np.ndarray, spatial: int = 8, temporal: int = 4) -> Tensor:
    """Bring per-frame masks to the latent grid: Eq. 4, then Eq. 5.

    Args:
        mask: (1 + T, H, W), bool or in {0, 1}; T divisible by `temporal`, H and W by `spatial`.
        spatial: the autoencoder's spatial compression.
        temporal: its temporal compression.

    Returns:
        (1 + T/temporal, H/spatial, W/spatial) float32 in {0, 1}: nearest-neighbour down-sampling (the upper
        left pixel of each block, as torch's `nearest` takes it), then the first frame alone and the maximum
        over each following group of `temporal`.

    Raises:
        ValueError: the shape does not fit.
    """
    mask = torch.as_tensor(mask).float()
    if mask.ndim != 3:
        raise ValueError(f"a mask of shape {tuple(mask.shape)} is not (1 + T, H, W)")
    length, height, width = mask.shape
    if (length - 1) % temporal or height % spatial or width % spatial:
        raise ValueError(f"a mask of shape {tuple(mask.shape)} does not fit the latent grid")
    small = mask[:, ::spatial, ::spatial]
    groups = small[1:].reshape(-1, temporal, *small.shape[1:]).amax(dim=1)
    return torch.cat([small[:1], groups])


def write_masks(clips: pd.DataFrame, faces_file: Path, hq_dir: Path, output: Path) -> None:
    """Write the masks of a shard's clips, one lossless gray video each.

    Args:
        clips: one row per clip, with `clip_id`.
        faces_file: landmarks, as `extract_clips` writes them.
        hq_dir: the clips, for their size and rate.
        output: the folder, written atomically.
    """
    landmarks = load_file(faces_file)
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for clip in clips["clip_id"]:
            info = probe(Path(hq_dir) / f"{clip}.mkv")
            masks = clip_masks(landmarks[f"{clip}.landmarks"], info.height, info.width)
            write_clip(temporary / f"{clip}.mkv", masks, info.fps, "ffv1_gray")
