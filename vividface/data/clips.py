"""The tables of clips: why clips are rejected, which shard they belong to, and which are kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from vividface.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")


class Rejection(StrEnum):
    """Why a clip is not used, as the column `rejection` of the tables of shots and clips."""

    NONE = ""
    BENCHMARK = "in a benchmark"
    UNREADABLE = "unreadable"
    TOO_SHORT = "too short"
    TRUNCATED = "truncated"
    NO_FACE = "no face"
    FACE_LOST = "face lost"
    SMALL_FACE = "small face"
    PADDING = "padding"

    def because(self, detail: str) -> str:
        """The column `reason`: the category and what exactly was found."""
        return f"{self}: {detail}"


def shard_of(identifier: str, num_shards: int) -> str:
    """The shard of a clip, or of a video, by a hash of its id: `0000`, `0001`, ..."""
    digest = hashlib.sha256(identifier.encode()).digest()
    return f"{int.from_bytes(digest[:8], 'big') % num_shards:04d}"


def to_table(rows: Sequence[Row], row_type: type[Row]) -> pd.DataFrame:
    """A table with a column per field of `row_type`, also where there are no rows."""
    return pd.DataFrame([vars(row) for row in rows], columns=[field.name for field in fields(row_type)])


def from_table(table: pd.DataFrame, row_type: type[Row]) -> list[Row]:
    """The rows of a table that `to_table` made, in their order."""
    rows = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    return [row_type(**{**row, "rejection": Rejection(row["rejection"])}) for row in rows]


def gather_clips(tables: Sequence[pd.DataFrame], *, max_rejected_share: float) -> pd.DataFrame:
    """The clips of all shards as one table, sorted by `clip_id`, unless too many were rejected.

    Args:
        tables: tables of `vividface.data.extraction.extract_clips`, one per shard.
        max_rejected_share: share of rejected clips above which a run stops, in [0, 1].

    Raises:
        InputError: more clips, or all, were rejected; names the share and the three commonest reasons.
    """
    clips = pd.concat(tables, ignore_index=True)
    if clips.empty:
        raise InputError("no clip was planned; look at the dataset's source and at clips.num_frames")
    rejected = clips[~clips["kept"].astype(bool)]
    share = len(rejected) / len(clips)
    if share > max_rejected_share or share == 1:
        counts = Counter(rejected["rejection"]).most_common(3)
        listed = ", ".join(f"{count} x {rejection}" for rejection, count in counts)
        in_benchmark = (rejected["rejection"] == Rejection.BENCHMARK).any()
        plan_again = "; if the benchmarks have changed, plan the clips again (docs/datasets.md)"
        raise InputError(
            f"{len(rejected)} of {len(clips)} clips ({share:.0%}) were rejected: {listed}; for example, "
            f"{rejected['reason'].iloc[0]}. The limits are in the configuration's section `clips`: look at "
            f"the videos, then change a limit or clips.max_rejected_share{plan_again if in_benchmark else ''}"
        )
    return clips.sort_values("clip_id", ignore_index=True)


def kept_clips(tables: Iterable[str | Path], shard: str | None = None) -> pd.DataFrame:
    """The kept clips of some datasets, with a column `dataset`, sorted by `clip_id`.

    Args:
        tables: paths of the datasets' tables, `data/{dataset}/clips.parquet`.
        shard: the only shard to list; None lists all.

    Raises:
        InputError: two datasets have a clip of the same id.
    """
    parts = [pd.read_parquet(path).assign(dataset=Path(path).parent.name) for path in tables]
    clips = pd.concat(parts, ignore_index=True)
    clips = clips[clips["kept"].astype(bool)]
    if (again := clips["clip_id"].duplicated(keep=False)).any():
        clip = clips.loc[again, "clip_id"].iloc[0]
        names = " and ".join(clips.loc[clips["clip_id"] == clip, "dataset"])
        raise InputError(
            f"datasets: {names} have clips of the same id, such as {clip}; leave the videos out of one of "
            "them, or rename their files"
        )
    if shard is not None:
        clips = clips[clips["shard"] == shard]
    return clips.sort_values("clip_id", ignore_index=True)


def draw_path(path: Path, draw: int) -> Path:
    """The path of one of a clip's degradations.

    Args:
        path: path of the first one, `{clip}.mkv`.
        draw: number of the degradation, from 0.
    """
    return path if not draw else path.with_name(f"{path.stem}.draw-{draw}{path.suffix}")


def locate_clips(tables: Iterable[str | Path], **folders: Sequence[str]) -> pd.DataFrame:
    """The kept clips of some datasets with, for each keyword, a column of the paths of their videos.

    Args:
        tables: paths of the datasets' tables, `data/{dataset}/clips.parquet`.
        folders: folders of all shards, `.../{dataset}/{kind}/{shard}`, by kind (`hq`, `lq`, `masks`).
    """
    clips = kept_clips(tables)
    for kind, paths in folders.items():
        folder_of = {(Path(path).parts[-3], Path(path).name): Path(path) for path in paths}
        rows = zip(clips["dataset"], clips["shard"], clips["clip_id"], strict=True)
        clips = clips.assign(
            **{kind: [str(folder_of[dataset, shard] / f"{clip}.mkv") for dataset, shard, clip in rows]}
        )
    return clips
