"""Precomputed latents and masks of training clips, one safetensors file per shard (section 3.1)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from vividface.errors import InputError
from vividface.faces.masks import align_mask
from vividface.files import atomic_path
from vividface.models.autoencoders import TEMPORAL, Autoencoder
from vividface.video import read_clip, read_masks

# Half precision: normalised latents lie within a few units, so the error is below a thousandth.
_DTYPE = torch.float16
_AGAIN = "delete the file and run the rule encode_latents again"


def frames_to_tensor(frames: np.ndarray) -> Tensor:
    """Frames (F, H, W, 3) uint8 or uint16 to (3, F, H, W) float32 in [-1, 1]."""
    half = np.iinfo(frames.dtype).max / 2
    return torch.from_numpy(frames).permute(3, 0, 1, 2).float() / half - 1


def tensor_to_frames(tensor: Tensor, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """The inverse of `frames_to_tensor`, clamped and rounded, for frames of this type."""
    half = np.iinfo(dtype).max / 2
    frames = ((tensor.clamp(-1, 1) + 1) * half).round().permute(1, 2, 3, 0)
    return frames.cpu().numpy().astype(dtype)


@torch.inference_mode()
def encode_shard(
    clips: pd.DataFrame,
    hq_dir: Path,
    lq_dir: Path,
    mask_dir: Path,
    autoencoder: Autoencoder,
    frames: int,
    output: Path,
    device: str = "cpu",
) -> None:
    """Encode a shard's clips and align their masks to the latent grid (Eq. 4-5).

    Writes `{clip}.lq` and `{clip}.hq`, (C, T', H', W') float16, and `{clip}.mask`, (T', H', W') uint8.

    Args:
        clips: one row per clip, with `clip_id`.
        hq_dir: folder of the ground-truth clips, and `mask_dir` of their masks.
        lq_dir: folder of the degraded clips, which are resized to the true ones' size.
        autoencoder: on `device`.
        frames: 1 + T, the first frames of each clip.
        output: the safetensors file.
        device: where the autoencoder runs.
    """
    tensors: dict[str, Tensor] = {}
    for clip in tqdm(clips["clip_id"], desc="latents", unit="clip"):
        size: tuple[int, int] | None = None
        for kind, folder in (("hq", hq_dir), ("lq", lq_dir)):
            decoded = read_clip(Path(folder) / f"{clip}.mkv", 0, frames, size)
            size = (decoded.shape[2], decoded.shape[1])
            video = frames_to_tensor(decoded)
            latents = autoencoder.encode_video(video[None].to(device))[0]
            tensors[f"{clip}.{kind}"] = latents.to(_DTYPE).cpu().contiguous()
        mask = align_mask(read_masks(Path(mask_dir) / f"{clip}.mkv", 0, frames))
        tensors[f"{clip}.mask"] = mask.to(torch.uint8).contiguous()
    with atomic_path(output) as temporary:
        # One key: safetensors writes several in no fixed order, and the same input should give the same bits.
        save_file(tensors, temporary, {"autoencoder": autoencoder.fingerprint})


class LatentClips:
    """Random access to the latents of chosen clips over many shards; only the clips asked for are read.

    Args:
        shards: the files of `encode_shard`.
        autoencoder: that the training uses.
        frames: 1 + T of each clip.
        selected: clip ids to restrict to; None means all.

    Raises:
        InputError: a shard was made with another autoencoder or other statistics of its latents, its clips
            have another length or size, or no clip is left.
    """

    def __init__(
        self, shards: list[Path], autoencoder: Autoencoder, frames: int, selected: set[str] | None = None
    ) -> None:
        self._files = {}
        self._where: list[tuple[str, Path]] = []
        expected: tuple[int, ...] = (autoencoder.latent_channels, 1 + (frames - 1) // TEMPORAL)
        for shard in sorted(map(Path, shards)):
            try:
                file = safe_open(shard, framework="pt")
            except (OSError, SafetensorError) as error:
                raise InputError(f"{shard}: holds no latents ({error}); {_AGAIN}") from None
            made_with = (file.metadata() or {}).get("autoencoder")
            if made_with != autoencoder.fingerprint:
                raise InputError(
                    f"{shard}: holds latents of the autoencoder {made_with!r}, but the model uses "
                    f"{autoencoder.fingerprint!r}; {_AGAIN}"
                )
            self._files[shard] = file
            # Not an iterable, in spite of its name.
            keys = set(file.keys())
            ids = sorted(key.removesuffix(".hq") for key in keys if key.endswith(".hq"))
            for clip in ids:
                if not {f"{clip}.lq", f"{clip}.mask"} <= keys:
                    raise InputError(f"{shard}: the clip {clip} is not complete; {_AGAIN}")
                shape = tuple(file.get_slice(f"{clip}.hq").get_shape())
                if shape[: len(expected)] != expected:
                    raise InputError(
                        f"{shard}: the latents of the clip {clip} are {shape}, but the others, or "
                        f"latent_stage.frames = {frames}, need {expected}; {_AGAIN}"
                    )
                expected = shape
                for kind, wanted in (("lq", shape), ("mask", shape[1:])):
                    other = tuple(file.get_slice(f"{clip}.{kind}").get_shape())
                    if other != wanted:
                        raise InputError(f"{shard}: {clip}.{kind} is {other} instead of {wanted}; {_AGAIN}")
            self._where += [(clip, shard) for clip in ids if selected is None or clip in selected]
        if not self._where:
            raise InputError("no clip with latents is left to train on; lower filter.threshold or add videos")

    @property
    def clip_ids(self) -> list[str]:
        """In the order of the indices."""
        return [clip for clip, _ in self._where]

    def __len__(self) -> int:
        return len(self._where)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """C, T', H', W' of the first clip's latents."""
        clip, shard = self._where[0]
        channels, length, height, width = self._files[shard].get_slice(f"{clip}.hq").get_shape()
        return channels, length, height, width

    def __getitem__(self, index: int) -> dict[str, Tensor | str]:
        """`low` and `high` (C, T', H', W') float32, `mask` (T', H', W') float32 and the clip's id."""
        clip, shard = self._where[index]
        file = self._files[shard]
        return {
            "low": file.get_tensor(f"{clip}.lq").float(),
            "high": file.get_tensor(f"{clip}.hq").float(),
            "mask": file.get_tensor(f"{clip}.mask").float(),
            "clip_id": clip,
        }
