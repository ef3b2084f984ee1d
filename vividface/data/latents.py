"""Random access to precomputed latents (section 3.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from copy import copy
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vividface.data.encoding import lq_key
from vividface.data.samples import Sample
from vividface.errors import InputError
from vividface.models.base import TEMPORAL, Autoencoder

_REMEDY = "delete the file and run the rule encode_latents again"


class LatentClips:
    """The latents of clips over many shards; only the clips that are asked for are read.

    Args:
        shards: files of `vividface.data.encoding.encode_shard`.
        autoencoder: autoencoder that the training uses.
        num_frames: 1 + T, the number of frames of each clip.

    Attributes:
        num_draws: number of degradations of each clip.

    Raises:
        InputError: a shard was made with another autoencoder or other statistics of its latents, its clips
            have another length or size, or there is no clip.
    """

    def __init__(self, shards: Iterable[Path], autoencoder: Autoencoder, *, num_frames: int) -> None:
        # safetensors' handles have no types.
        self._files: dict[Path, Any] = {}
        self._clips: list[tuple[str, Path]] = []
        # By the names in the shards; shared with the subsets.
        self._kept: dict[str, Tensor] = {}
        self.num_draws = 0
        needed: tuple[int, ...] = (autoencoder.latent_channels, 1 + (num_frames - 1) // TEMPORAL)
        for shard in sorted(shards):
            file = self._files[shard] = _open_shard(shard, autoencoder)
            # Not an iterable, in spite of its name.
            keys = set(file.keys())
            for clip in sorted(key.removesuffix(".hq") for key in keys if key.endswith(".hq")):
                if not {f"{clip}.lq", f"{clip}.mask"} <= keys:
                    raise InputError(f"{shard}: the clip {clip} is not complete; {_REMEDY}")
                shape = _shape(file, f"{clip}.hq")
                if shape[: len(needed)] != needed:
                    raise InputError(
                        f"{shard}: the latents of the clip {clip} are {shape}, but the others, or "
                        f"latent_stage.num_frames = {num_frames}, need {needed}; {_REMEDY}"
                    )
                # The first clip says which height and width the others have.
                needed = shape
                num_draws = next(n for n in count() if lq_key(clip, n) not in keys)
                self.num_draws = self.num_draws or num_draws
                if num_draws != self.num_draws:
                    raise InputError(
                        f"{shard}: {clip} has {num_draws} degradations, other clips have {self.num_draws}; "
                        f"{_REMEDY}"
                    )
                expected = {lq_key(clip, draw): shape for draw in range(num_draws)}
                for key, right in {**expected, f"{clip}.mask": shape[1:]}.items():
                    if (other := _shape(file, key)) != right:
                        raise InputError(f"{shard}: {key} is {other} instead of {right}; {_REMEDY}")
                self._clips.append((clip, shard))
        self._require_clips()

    def subset(self, clip_ids: Collection[str]) -> LatentClips:
        """Those of the clips that have one of these ids.

        Raises:
            InputError: none has.
        """
        subset = copy(self)
        subset._clips = [(clip, shard) for clip, shard in self._clips if clip in clip_ids]
        subset._require_clips()
        return subset

    @property
    def clip_ids(self) -> list[str]:
        """The ids of the clips, in the order of the indices."""
        return [clip for clip, _ in self._clips]

    @property
    def datasets(self) -> dict[str, str]:
        """The name of each clip's dataset, by its id, from a shard's path: `{dataset}/latents/{shard}`."""
        return {clip: shard.parts[-3] for clip, shard in self._clips}

    @property
    def shape(self) -> tuple[int, ...]:
        """C, T', H', W' of the latents of every clip."""
        clip, shard = self._clips[0]
        return _shape(self._files[shard], f"{clip}.hq")

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Sample]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int, *, draw: int = 0) -> Sample:
        """The latents of a clip and its mask on their grid.

        Args:
            index: index of the clip.
            draw: number of the degradation, from 0.
        """
        clip, shard = self._clips[index]
        lq, hq, mask = (self._tensor(shard, name).float() for name in (lq_key(clip, draw), *_names(clip)))
        return Sample(lq, hq, mask, clip)

    def keep(self, device: torch.device) -> None:
        """Read all latents into the memory of a device, where `read` then leaves them."""
        for clip, shard in self._clips:
            for name in (*(lq_key(clip, draw) for draw in range(self.num_draws)), *_names(clip)):
                self._kept[name] = self._tensor(shard, name).to(device)

    def _tensor(self, shard: Path, name: str) -> Tensor:
        kept = self._kept.get(name)
        tensor: Tensor = self._files[shard].get_tensor(name) if kept is None else kept
        return tensor

    def _require_clips(self) -> None:
        if not self._clips:
            raise InputError(
                "no clip with latents is left to train on; lower filter.threshold or "
                "training.num_validation_clips, or add videos"
            )


def _names(clip: str) -> tuple[str, str]:
    """Names of the ground truth and the mask of a clip."""
    return f"{clip}.hq", f"{clip}.mask"


def _open_shard(shard: Path, autoencoder: Autoencoder) -> Any:
    try:
        file: Any = safe_open(shard, framework="pt")
    except (OSError, SafetensorError) as error:
        raise InputError(f"{shard}: holds no latents ({error}); {_REMEDY}") from None
    made_with = (file.metadata() or {}).get("autoencoder")
    if made_with != autoencoder.fingerprint:
        raise InputError(
            f"{shard}: holds latents of the autoencoder {made_with!r}, but the model uses "
            f"{autoencoder.fingerprint!r}; {_REMEDY}"
        )
    return file


def _shape(file: Any, key: str) -> tuple[int, ...]:
    return tuple(file.get_slice(key).get_shape())
