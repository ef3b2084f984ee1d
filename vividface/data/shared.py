"""Videos that training datasets and benchmarks have in common: none is trained on and measured with."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vividface.data.clips import Rejection, to_table
from vividface.errors import InputError

logger = logging.getLogger(__name__)

# A clip of VFHQ; its marks are + as published, or - or _ in their place. The id itself may hold - and _: its
# length tells where it ends.
_CLIP = re.compile(
    r"Clip(?P<mark>[+_-])(?P<video>[A-Za-z0-9_-]{11})(?P=mark)P\d+(?P=mark)C\d+(?P=mark)F\d+", re.ASCII
)
_ID_LENGTH = 11
# Names in an error's message.
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class SharedVideo:
    """A video to train on that a benchmark has too: a row of `data/shared.parquet`.

    Attributes:
        dataset: name of the training dataset.
        video_id: id of the video in it.
        benchmark: name of the benchmark.
        benchmark_video: id of the video in the benchmark.
        reason: the rejection of the clips of `video_id`, and what the two have in common.
    """

    dataset: str
    video_id: str
    benchmark: str
    benchmark_video: str
    reason: str


def find_shared(training: Mapping[str, pd.DataFrame], benchmarks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The training videos that are in a benchmark: the same file, or of the same YouTube video.

    The id of a YouTube video is known from names as VFHQ's clips have them, `Clip+{id}+P0+C0+F100-200`;
    wherever in the path of another video it stands, that one is of the same YouTube video.

    Args:
        training: tables of the training datasets' videos by their names: `video_id`, `path`, `sha256`.
        benchmarks: those of the benchmarks.

    Returns:
        one row per pair of videos, a column per attribute of `SharedVideo`.
    """
    tables = [*training.values(), *benchmarks.values()]
    known = {match["video"] for table in tables for path in table["path"] for match in _CLIP.finditer(path)}
    owners: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for benchmark, table in benchmarks.items():
        for video in table.to_dict("records"):
            for origin in _origins(video, known):
                owners[origin].append((benchmark, video["video_id"]))
    shared: list[SharedVideo] = []
    for dataset, table in training.items():
        found = [
            SharedVideo(
                dataset=dataset,
                video_id=video["video_id"],
                benchmark=benchmark,
                benchmark_video=other,
                reason=Rejection.BENCHMARK.because(f"{origin} is that of {other} in {benchmark}"),
            )
            for video in table.to_dict("records")
            for (benchmark, other), origin in _common(_origins(video, known), owners).items()
        ]
        _log(dataset, found, num_videos=len(table))
        shared += found
    return to_table(shared, SharedVideo)


def reasons_of(shared: pd.DataFrame, dataset: str) -> dict[str, str]:
    """Why videos of a dataset are not trained on, by their ids.

    Args:
        shared: table of `find_shared`.
        dataset: name of the dataset.
    """
    rows = shared[shared["dataset"] == dataset].drop_duplicates("video_id")
    return dict(zip(rows["video_id"], rows["reason"], strict=True))


def require_untrained(shared: pd.DataFrame, benchmark: str, *, plans: Mapping[str, pd.DataFrame]) -> None:
    """Refuse a benchmark whose videos are trained on, since it came after the training data were planned.

    Args:
        shared: table of `find_shared`.
        benchmark: name of the benchmark.
        plans: tables of the training datasets' planned clips by their names: `video_id`, `rejection`.

    Raises:
        InputError: a clip to train on is of a shared video; names the videos.
    """
    for dataset, plan in plans.items():
        trained = set(plan["video_id"][plan["rejection"] == Rejection.NONE])
        rows = shared[(shared["dataset"] == dataset) & (shared["benchmark"] == benchmark)]
        rows = rows[rows["video_id"].isin(trained)].drop_duplicates("video_id")
        if len(rows):
            more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
            raise InputError(
                f"datasets.{benchmark}: {len(rows)} of its videos are trained on, as "
                f"{', '.join(rows['video_id'][:_NAMED])}{more} of {dataset}; take them out of the benchmark, "
                f"or delete data/{dataset}/plan.parquet to train again without them"
            )


def _origins(video: Mapping[Any, Any], known: set[str]) -> list[str]:
    """What a video is known by, the surest first: its file, and the ids that stand in its path."""
    path, checksum = video["path"], video["sha256"]
    ids = {path[start : start + _ID_LENGTH] for start in range(len(path) - _ID_LENGTH + 1)} & known
    return [f"file {checksum}"] * bool(checksum) + [f"YouTube video {name}" for name in sorted(ids)]


def _common(origins: list[str], owners: Mapping[str, list[tuple[str, str]]]) -> dict[tuple[str, str], str]:
    """The benchmarks' videos that have one of these origins, each with the surest that they have."""
    common: dict[tuple[str, str], str] = {}
    for origin in origins:
        for owner in owners.get(origin, ()):
            common.setdefault(owner, origin)
    return common


def _log(dataset: str, found: list[SharedVideo], *, num_videos: int) -> None:
    count = len({video.video_id for video in found})
    logger.info("%s: %d of %d videos are in a benchmark", dataset, count, num_videos)
    for video in found:
        logger.info("%s: %s is %s", dataset, video.video_id, video.reason)
