"""Precomputing the latents and masks of training clips, one safetensors file per shard (section 3.1)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from vividface.data.clips import draw_path
from vividface.files import atomic_path
from vividface.models.base import SPATIAL, TEMPORAL, Autoencoder
from vividface.tensors import frames_to_tensor
from vividface.video import read_clip, read_masks

# Half precision: normalised latents lie within a few units, so the error is below a thousandth.
_DTYPE = torch.float16


def align_mask(mask: Tensor | np.ndarray, *, spatial: int = SPATIAL, temporal: int = TEMPORAL) -> Tensor:
    """Bring per-frame masks to the latent grid: Eq. 4, then Eq. 5.

    Args:
        mask: masks (1 + T, H, W), bool or in {0, 1}; T divisible by `temporal`, H and W by `spatial`.
        spatial: spatial compression of the autoencoder.
        temporal: temporal compression of the autoencoder.

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


def lq_key(clip_id: str, draw: int) -> str:
    """The name of the latents of one of a clip's degradations.

    Args:
        clip_id: id of the clip.
        draw: number of the degradation, from 0.
    """
    return f"{clip_id}.lq-{draw}" if draw else f"{clip_id}.lq"


@torch.inference_mode()
def encode_shard(
    clips: pd.DataFrame,
    autoencoder: Autoencoder,
    *,
    num_frames: int,
    hq_dir: Path,
    lq_dir: Path,
    mask_dir: Path,
    output: Path,
    num_draws: int = 1,
    device: str = "cpu",
) -> None:
    """Encode a shard's clips and align their masks to the latent grid (Eq. 4-5).

    Writes `{clip}.hq` and for each draw of the degradation `{clip}.lq`, `{clip}.lq-1`, ..., (C, T', H', W')
    float16, and `{clip}.mask`, (T', H', W') uint8.

    Args:
        clips: table with a row per clip and the column `clip_id`.
        autoencoder: autoencoder, on `device`.
        num_frames: 1 + T, the number of frames that are taken from the start of each clip.
        hq_dir: folder of the true clips.
        lq_dir: folder of the degraded clips, which are resized to the size of the true ones.
        mask_dir: folder of the masks.
        output: safetensors file to write.
        num_draws: number of degradations of each clip.
        device: device of the autoencoder.
    """
    tensors: dict[str, Tensor] = {}
    for clip in tqdm(clips["clip_id"], desc="latents", unit="clip"):
        hq = read_clip(hq_dir / f"{clip}.mkv", 0, num_frames)
        videos = {f"{clip}.hq": hq}
        for draw in range(num_draws):
            path = draw_path(lq_dir / f"{clip}.mkv", draw)
            lq = read_clip(path, 0, num_frames, size=(hq.shape[2], hq.shape[1]))
            videos[lq_key(clip, draw)] = lq
        for key, frames in videos.items():
            latents = autoencoder.encode_video(frames_to_tensor(frames)[None].to(device))[0]
            tensors[key] = latents.to(_DTYPE).cpu().contiguous()
        mask = align_mask(read_masks(mask_dir / f"{clip}.mkv", 0, num_frames))
        tensors[f"{clip}.mask"] = mask.to(torch.uint8).contiguous()
    with atomic_path(output) as temporary:
        # One key: safetensors writes several in no fixed order, and the same input should give the same bits.
        save_file(tensors, temporary, {"autoencoder": autoencoder.fingerprint})
