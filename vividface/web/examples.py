"""Clips to try the page with: a folder of the user's own, or what the demo has downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from vividface.errors import InputError
from vividface.video import is_video, iterate_frames

MOST = 6


def find_examples(folder: Path | None) -> list[Path]:
    """The first videos of a folder; without one, those of a demo that ran in the working directory.

    Args:
        folder: folder that the user named.

    Raises:
        InputError: the folder does not exist, or holds no video.
    """
    if folder is None:
        demo = [Path("results/enhanced/lq.mp4"), *sorted(Path("data").glob("*/videos/*"))]
        return _readable(demo)
    if not folder.is_dir():
        raise InputError(f"--examples {folder}: there is no such folder; check the path")
    videos = _readable(sorted(folder.iterdir()))
    if not videos:
        raise InputError(f"--examples {folder}: holds no video that can be read; give another folder")
    return videos


def _readable(paths: Iterable[Path]) -> list[Path]:
    return list(islice(filter(_is_readable, paths), MOST))


def _is_readable(path: Path) -> bool:
    try:
        return is_video(path) and next(iterate_frames(path, 0, 1)) is not None
    except InputError:
        return False
