"""Fetching a dataset's videos: from packages, folders, photographs, the web, the Hub, Drive or YouTube."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path

import gdown
import pandas as pd

from vividface.config.datasets import (
    DriveSource,
    FetchedSource,
    FolderSource,
    HubSource,
    PackageSource,
    PhotosSource,
    Source,
    WebSource,
    YoutubeSource,
)
from vividface.data.archives import is_archive, unpack, unpacked_folder
from vividface.data.photos import fetch_photos
from vividface.data.vfhq import fetch_clips, sample_clips
from vividface.data.videos import SourceVideo, identifiers, table_of, videos_in_folder
from vividface.downloads import LOCKS, Download, Lock, fetch_files, require_network
from vividface.errors import InputError
from vividface.files import sha256, write_text
from vividface.hub import fetch_repository
from vividface.weights.packages import fetch_member


def fetch_dataset(
    name: str, source: Source, *, directory: Path, seed: int = 0, key: str = "source", locks: Path = LOCKS
) -> pd.DataFrame:
    """Download a dataset's videos and list them; complete downloads are not repeated.

    Args:
        name: key of the dataset in the configuration, for messages and as the name of its lock.
        source: origin of the videos.
        directory: folder of the dataset; downloaded videos are in `directory/videos/`, those of a `folder`
            source are read where they are.
        seed: seed of the sample that a `youtube` source may ask for, and of a `photos` source's motion.
        key: key of the source in the dataset's section, for messages.
        locks: folder of the locks, `{name}.json`: checksums and revisions that were recorded on first use.

    Returns:
        one row per video: `video_id`, `path`, `sha256`, `person`, and `reason`, why it could not be fetched,
        or empty.

    Raises:
        InputError: a folder has no videos, a download fails, or a checksum is wrong.
    """
    key = f"datasets.{name}.{key}"
    downloads, encoded = Path(directory) / "videos", Path(directory) / "encoded"
    lock = Lock(Path(locks) / f"{name}.json")
    match source:
        case PackageSource():
            return table_of(_package(source, downloads))
        case YoutubeSource():
            return table_of(_youtube(name, source, downloads, seed=seed))
        case PhotosSource():
            folder = _folder(key, source)
            return table_of(fetch_photos(folder, source, key=key, directory=downloads, seed=seed))
        case FolderSource():
            folder = _folder(key, source)
        case WebSource():
            folder = _web(source, downloads, lock)
        case HubSource():
            folder = _hub(source, downloads, lock)
        case DriveSource():
            folder = _drive(key, source, downloads, lock)
    videos = videos_in_folder(
        folder, key=key, pattern=source.pattern, frames_fps=source.frames_fps, encoded=encoded
    )
    return table_of(videos)


def _package(source: PackageSource, directory: Path) -> list[SourceVideo]:
    videos = []
    stems = [Path(member.member).stem for member in source.members]
    for identifier, member in zip(identifiers(stems), source.members, strict=True):
        path = directory / f"{identifier}{Path(member.member).suffix}"
        if not (path.is_file() and sha256(path) == member.sha256):
            fetch_member(member, path)
        videos.append(
            SourceVideo(
                video_id=identifier,
                path=str(path),
                sha256=member.sha256,
                person=member.person or identifier,
            )
        )
    return videos


def _youtube(name: str, source: YoutubeSource, directory: Path, *, seed: int) -> list[SourceVideo]:
    clips = sample_clips(source, name, seed=seed)
    fetched = fetch_clips(clips, directory, video_format=source.format, max_parallel=source.max_parallel)
    names = [clip.name.removeprefix("Clip+") for clip in clips]
    videos = []
    for identifier, clip in zip(identifiers(names), clips, strict=True):
        path, reason = fetched[clip.name]
        videos.append(
            SourceVideo(
                video_id=identifier,
                path=str(path),
                sha256="" if reason else sha256(path),
                person=f"{clip.video}-P{clip.person}",
                reason=reason,
            )
        )
    return videos


def _folder(key: str, source: FolderSource | PhotosSource) -> Path:
    folder = source.path.expanduser()
    if not folder.is_dir():
        raise InputError(f"{key}.path: there is no folder {folder}; correct the path")
    return folder


def _web(source: WebSource, directory: Path, lock: Lock) -> Path:
    downloads = [Download(file.url, directory / _file_name(file.url), file.sha256) for file in source.files]
    # An archive is removed when it is unpacked: its folder stands for it.
    missing = [download for download in downloads if not unpacked_folder(download.path).is_dir()]
    fetch_files(missing, lock, max_parallel=source.max_parallel)
    _unpack_all((download.path for download in missing), source)
    return directory


def _hub(source: HubSource, directory: Path, lock: Lock) -> Path:
    files = fetch_repository(
        source.repo,
        directory,
        lock,
        repo_type=source.repo_type,
        revision=source.revision,
        patterns=source.files,
        max_parallel=source.max_parallel,
    )
    _unpack_all(files, source)
    return directory


def _drive(key: str, source: DriveSource, directory: Path, lock: Lock) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    ids = source.files or [str(source.folder)]
    marker = directory / ".complete"
    if marker.is_file() and marker.read_text() == "\n".join(ids):
        return directory
    require_network(f"Google Drive's {', '.join(ids)}")
    try:
        # gdown resumes a broken download. Its messages go to standard output, which belongs to the rule.
        with contextlib.redirect_stdout(sys.stderr):
            if source.folder:
                paths = gdown.download_folder(id=source.folder, output=f"{directory}/", resume=True)
            else:
                paths = [
                    gdown.download(id=file, output=f"{directory}/", resume=True) for file in source.files
                ]
    except Exception as error:
        # gdown raises requests' errors, its own and plain ones alike.
        raise InputError(
            f"{key}: Google Drive does not give {', '.join(ids)}: {' '.join(str(error).split())}; is it "
            "shared with anyone, and below its daily limit?"
        ) from None
    files = [Path(path) for path in paths or []]
    if not files or not all(path.is_file() for path in files):
        raise InputError(f"{key}: Google Drive gives nothing for {', '.join(ids)}")
    for path in files:
        lock.check(f"drive:{path.relative_to(directory)}", sha256(path))
    _unpack_all(files, source)
    write_text(marker, "\n".join(ids))
    return directory


def _unpack_all(paths: Iterable[Path], source: FetchedSource) -> None:
    """Unpack and remove the archives among some files."""
    for path in paths:
        if is_archive(path) and path.is_file():
            unpack(path, unpacked_folder(path), max_bytes=int(source.max_unpacked_gb * 1e9))
            path.unlink()


def _file_name(url: str) -> str:
    return url.partition("?")[0].rstrip("/").rpartition("/")[2] or "file"
