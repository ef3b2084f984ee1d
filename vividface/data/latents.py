"""Random access to precomputed latents (section 3.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

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

    Raises:
        InputError: a shard was made with another autoencoder or other statistics of its latents, its clips
            have another length or size, or there is no clip.
    """

    def __init__(self, shards: Iterable[Path], autoencoder: Autoencoder, *, num_frames: int) -> None:
        # safetensors' handles have no types.
        self._files: dict[Path, Any] = {}
        self._clips: list[tuple[str, Path]] = []
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
                for kind, expected in (("lq", shape), ("mask", shape[1:])):
                    if (other := _shape(file, f"{clip}.{kind}")) != expected:
                        raise InputError(
                            f"{shard}: {clip}.{kind} is {other} instead of {expected}; {_REMEDY}"
                        )
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
    def shape(self) -> tuple[int, ...]:
        """C, T', H', W' of the latents of every clip."""
        clip, shard = self._clips[0]
        return _shape(self._files[shard], f"{clip}.hq")

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        """The latents of a clip and its mask on their grid."""
        clip, shard = self._clips[index]
        lq, hq, mask = (self._files[shard].get_tensor(f"{clip}.{kind}") for kind in ("lq", "hq", "mask"))
        return Sample(lq.float(), hq.float(), mask.float(), clip)

    def _require_clips(self) -> None:
        if not self._clips:
            raise InputError("no clip with latents is left to train on; lower filter.threshold or add videos")


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
