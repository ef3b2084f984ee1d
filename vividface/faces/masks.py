"""Face masks in pixels, M_p of section 3.2."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from vividface.config import FacesConfig
from vividface.faces.base import Face, FaceBackend, Region
from vividface.faces.load import load_backend
from vividface.files import atomic_path
from vividface.video import VideoWriter, batched, iterate_frames, probe


def clip_masks(
    backend: FaceBackend,
    frames: Sequence[np.ndarray],
    *,
    boxes: np.ndarray,
    landmarks: np.ndarray,
    regions: Collection[Region] = (Region.FACE,),
) -> np.ndarray:
    """The face in each frame of a clip, M_p of section 3.2.

    Args:
        backend: parser of the frames.
        frames: F frames (H, W, 3), uint8, RGB.
        boxes: (F, 4), boxes of the faces in pixels.
        landmarks: (F, K, 2), landmarks of the faces in pixels.
        regions: regions that belong to the mask.

    Returns:
        (F, H, W) bool.
    """
    faces = [Face(*pair, 0.0) for pair in zip(boxes, landmarks, strict=True)]
    return np.isin(backend.parse(frames, faces), [int(region) for region in regions])


def write_masks(
    clips: pd.DataFrame,
    faces_config: FacesConfig,
    *,
    hq_dir: Path,
    faces_file: Path,
    mask_dir: Path,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Write the masks of a shard's clips, one lossless gray video each, in constant memory.

    Args:
        clips: one row per clip, with `clip_id`.
        faces_config: backend that parses, and the regions that belong to the mask.
        hq_dir: folder of the clips.
        faces_file: boxes and landmarks, as `extract_clips` writes them.
        mask_dir: folder of the masks, written atomically.
        device: device of the backend's networks.
        threads: number of frames that are parsed at a time, where the backend runs on the CPU.
    """
    backend = load_backend(faces_config, device, threads=threads)
    regions = [Region[name.upper()] for name in faces_config.mask]
    faces = load_file(faces_file)
    with atomic_path(mask_dir) as folder:
        folder.mkdir()
        for clip in clips["clip_id"]:
            source = Path(hq_dir) / f"{clip}.mkv"
            info = probe(source)
            boxes, landmarks = faces[f"{clip}.boxes"], faces[f"{clip}.landmarks"]
            with VideoWriter(
                folder / f"{clip}.mkv", width=info.width, height=info.height, fps=info.fps, codec="ffv1_gray"
            ) as writer:
                start = 0
                for frames in batched(iterate_frames(source), faces_config.batch_size):
                    part = slice(start, start + len(frames))
                    masks = clip_masks(
                        backend, frames, boxes=boxes[part], landmarks=landmarks[part], regions=regions
                    )
                    for mask in masks:
                        writer.write(mask.astype(np.uint8) * 255)
                    start += len(frames)
