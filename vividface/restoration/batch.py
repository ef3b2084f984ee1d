"""Enhancing all videos of a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vividface.errors import InputError
from vividface.restoration.enhance import Enhanced
from vividface.restoration.writing import CONTAINERS


@dataclass(frozen=True)
class Outcome:
    """What became of one video of a folder: `enhanced`, or why it was not (`error`), or `skipped`."""

    source: Path
    enhanced: Enhanced | None = None
    error: str = ""
    skipped: bool = False


def enhance_folder(
    videos: list[Path],
    output: Path,
    enhance_one: Callable[[Path, Path], Enhanced],
    resume: bool = False,
    report: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Enhance videos one after the other; one that cannot be enhanced does not stop the others.

    Args:
        videos: the files.
        output: the folder of the results, which have the videos' names; a container that H.264 or any time
            stamp does not fit into becomes .mp4.
        enhance_one: enhances one video.
        resume: whether videos whose result is there already are skipped.
        report: is told each outcome as soon as it is known.

    Raises:
        InputError: two results would have the same name.
    """
    results = {video: output / _name(video) for video in videos}
    if len(set(results.values())) < len(results):
        raise InputError(f"{videos[0].parent}: two videos differ in nothing but their suffix; rename one")
    outcomes = []
    for video, result in results.items():
        if resume and result.exists():
            outcome = Outcome(video, skipped=True)
        else:
            try:
                outcome = Outcome(video, enhance_one(video, result))
            except InputError as error:
                outcome = Outcome(video, error=str(error))
        outcomes.append(outcome)
        report(outcome)
    return outcomes


def _name(video: Path) -> str:
    return video.name if video.suffix.lower() in CONTAINERS else f"{video.stem}.mp4"
