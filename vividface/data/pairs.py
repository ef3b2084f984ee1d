"""Benchmarks that are published with their degraded videos: these are taken instead of degrading here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd

from vividface.config.datasets import Source
from vividface.data.sources import fetch_dataset
from vividface.downloads import LOCKS
from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.video import VideoWriter, iterate_frames, probe

# Sides of a degraded video may be rounded to even numbers.
_ROUNDING = 2


def fetch_lq(
    name: str, source: Source, *, videos: pd.DataFrame, directory: Path, locks: Path = LOCKS
) -> pd.DataFrame:
    """Download the degraded videos of a benchmark, and find each one's ground truth by its name.

    A name is the path in the source below the folder that all its videos share, without the suffix: the
    folders of the two sides may be called anything.

    Args:
        name: key of the dataset in the configuration.
        source: origin of the degraded videos.
        videos: one row per true video: `video_id`, `path`, `reason`; those that could not be fetched, which
            have a reason, need no degraded one.
        directory: folder of the downloaded videos.
        locks: folder of the locks, as for `fetch_dataset`.

    Returns:
        one row per true video: its `video_id`, and the degraded video's `path` and `sha256`.

    Raises:
        InputError: a true video has no degraded one, or they differ in the number of frames or in the shape
            of the frames; or as for `fetch_dataset`.
    """
    key = f"datasets.{name}.lq_source"
    degraded = fetch_dataset(name, source, directory=directory, key="lq_source", locks=locks)
    true = videos[videos["reason"] == ""]
    lq_of = _by_name(list(degraded["path"]), key)
    names = _by_name(list(true["path"]), f"datasets.{name}.source")
    if absent := sorted(names.keys() - lq_of.keys()):
        raise InputError(
            f"{key}: {len(absent)} of {len(names)} true videos have no degraded one, such as {absent[0]}; "
            f"names here are {', '.join(sorted(lq_of)[:3])}, ...; give both sides the same names"
        )
    for video in names:
        _require_pair(Path(lq_of[video]), Path(names[video]), key)
    checksums = dict(zip(degraded["path"], degraded["sha256"], strict=True))
    name_of = {path: video for video, path in names.items()}
    rows = [
        {"video_id": video_id, "path": lq_of[name_of[path]], "sha256": checksums[lq_of[name_of[path]]]}
        for video_id, path in zip(true["video_id"], true["path"], strict=True)
    ]
    return pd.DataFrame(rows, columns=["video_id", "path", "sha256"])


def extract_lq(clips: pd.DataFrame, lq_videos: pd.DataFrame, *, lq_dir: Path, threads: int = 1) -> None:
    """Write the degraded frames of one shard's clips without loss, at their own size.

    Args:
        clips: one row per clip: `clip_id`, `video_id`, `start`, `frames`, `fps`.
        lq_videos: table of `fetch_lq`.
        lq_dir: folder of the clips, `{clip}.mkv`, written atomically.
        threads: number of clips at a time.

    Raises:
        InputError: a degraded video is damaged.
    """
    path_of = dict(zip(lq_videos["video_id"], lq_videos["path"], strict=True))
    with atomic_path(lq_dir) as folder, ThreadPoolExecutor(threads) as pool:
        folder.mkdir()

        def extract(clip: Mapping[Any, Any]) -> None:
            path, output = path_of[clip["video_id"]], folder / f"{clip['clip_id']}.mkv"
            info, fps = probe(path), Fraction(clip["fps"])
            with VideoWriter(output, width=info.width, height=info.height, fps=fps) as writer:
                for frame in iterate_frames(path, clip["start"], clip["start"] + clip["frames"]):
                    writer.write(frame)

        for _ in pool.map(extract, clips.to_dict("records")):
            pass


def _by_name(paths: Sequence[str], key: str) -> dict[str, str]:
    """Paths by what they are called below the folder that they share, without their suffix."""
    shared = os.path.commonpath([str(Path(path).parent) for path in paths] or [""])
    named: dict[str, str] = {}
    for path in paths:
        name = Path(path).relative_to(shared).with_suffix("").as_posix()
        if name in named:
            raise InputError(
                f"{key}: {named[name]} and {path} have one name; tell the degraded and the true videos "
                "apart by the source's `pattern`"
            )
        named[name] = path
    return named


def _require_pair(lq: Path, hq: Path, key: str) -> None:
    """Raise an error unless a degraded video has the length and the shape of its ground truth."""
    degraded, true = probe(lq), probe(hq)
    if degraded.num_frames != true.num_frames:
        raise InputError(
            f"{key}: {lq} has {degraded.num_frames} frames, but its ground truth {hq} has {true.num_frames}; "
            "get both again, or leave the video out by the sources' `pattern`"
        )
    expected = degraded.width * true.height / true.width
    if abs(degraded.height - expected) > _ROUNDING:
        raise InputError(
            f"{key}: {lq} is {degraded.width} x {degraded.height}, but its ground truth {hq} "
            f"{true.width} x {true.height}: frames of another shape show something else; get both again"
        )
