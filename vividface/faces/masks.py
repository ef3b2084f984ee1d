"""Face masks in pixels, and on the latent grid (Eq. 4-5)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file
from torch import Tensor

from vividface.config import FacesConfig
from vividface.faces.backend import Face, FaceBackend, Region, load_backend
from vividface.files import atomic_path
from vividface.video import VideoWriter, batched, iterate_frames, probe


def clip_masks(
    backend: FaceBackend,
    frames: Sequence[np.ndarray],
    boxes: np.ndarray,
    landmarks: np.ndarray,
    regions: Collection[Region] = (Region.FACE,),
) -> np.ndarray:
    """The face in each frame of a clip, M_p of section 3.2.

    Args:
        backend: parses the frames.
        frames: F frames (H, W, 3), uint8, RGB.
        boxes: (F, 4), the faces' boxes in pixels.
        landmarks: (F, K, 2), their landmarks.
        regions: what belongs to the mask.

    Returns:
        (F, H, W) bool.
    """
    faces = [Face(*pair, 0.0) for pair in zip(boxes, landmarks, strict=True)]
    return np.isin(backend.parse(frames, faces), [int(region) for region in regions])


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


def write_masks(
    clips: pd.DataFrame,
    faces_file: Path,
    hq_dir: Path,
    output: Path,
    faces: FacesConfig,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Write the masks of a shard's clips, one lossless gray video each, in constant memory.

    Args:
        clips: one row per clip, with `clip_id`.
        faces_file: boxes and landmarks, as `extract_clips` writes them.
        hq_dir: the clips.
        output: the folder, written atomically.
        faces: the backend that parses, and the regions that count.
        device: where it runs.
        threads: see `load_backend`.
    """
    backend = load_backend(faces, device, threads)
    regions = [Region[name.upper()] for name in faces.mask]
    held = load_file(faces_file)
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for clip in clips["clip_id"]:
            source = Path(hq_dir) / f"{clip}.mkv"
            info = probe(source)
            boxes, landmarks = held[f"{clip}.boxes"], held[f"{clip}.landmarks"]
            with VideoWriter(
                temporary / f"{clip}.mkv", info.width, info.height, info.fps, "ffv1_gray"
            ) as writer:
                start = 0
                for frames in batched(iterate_frames(source), faces.batch_size):
                    part = slice(start, start + len(frames))
                    for mask in clip_masks(backend, frames, boxes[part], landmarks[part], regions):
                        writer.write(mask.astype(np.uint8) * 255)
                    start += len(frames)
