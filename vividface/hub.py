"""Downloading repositories of the Hugging Face Hub, at a commit that is recorded on first use.

Its own client lists them and knows who asks. The files are fetched as all others here are: what that client
has received of a file is lost when it ends, and some files have gigabytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import requests
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, filter_repo_objects

from vividface.downloads import Download, Lock, RefusedError, fetch_files, require_network
from vividface.errors import InputError
from vividface.files import write_text

# Its first line is the commit of a complete download, the others are the names of its files.
_COMPLETE = ".complete"
_NO_ACCESS = {requests.codes.unauthorized, requests.codes.forbidden}


@dataclass(frozen=True)
class Snapshot:
    """Some files of a repository at a commit.

    Attributes:
        commit: commit of the files.
        files: files as the Hub lists them, with their sizes and checksums.
    """

    commit: str
    files: list[RepoFile]


def fetch_repository(
    repo: str,
    directory: Path,
    lock: Lock,
    *,
    repo_type: str = "model",
    revision: str = "main",
    patterns: Sequence[str] = ("*",),
    max_parallel: int = 4,
) -> list[Path]:
    """Download a repository, or some of its files; what is already complete is not downloaded again.

    The revision is resolved to a commit on first use, and this commit is downloaded ever after. Every file is
    compared with the checksum that the Hub lists.

    Args:
        repo: name of the repository, owner/name.
        directory: folder of the files, which keep their names in the repository.
        lock: lock that the commit is recorded in.
        repo_type: kind of the repository, `model` or `dataset`.
        revision: branch, tag or commit.
        patterns: patterns of the files' names.
        max_parallel: number of connections at a time.

    Returns:
        paths of the files; the caller may have moved files of an earlier download.

    Raises:
        InputError: the repository cannot be reached, or a file is not what the Hub lists.
    """
    commit = lock.get(_key(repo, repo_type, revision))
    if commit is not None and fetched_commit(directory) == commit:
        return fetched_files(directory) or []
    snapshot = list_repository(repo, lock, repo_type=repo_type, revision=revision, patterns=patterns)
    endpoint, headers = os.environ.get("HF_ENDPOINT"), build_hf_headers()
    downloads = []
    for file in snapshot.files:
        url = huggingface_hub.hf_hub_url(
            repo, file.path, repo_type=repo_type, revision=snapshot.commit, endpoint=endpoint
        )
        downloads.append(
            Download(
                url,
                directory / file.path,
                sha256=file.lfs.sha256 if file.lfs else None,
                git_blob=None if file.lfs else file.blob_id,
                headers=headers,
            )
        )
    try:
        fetch_files(downloads, max_parallel=max_parallel)
    except RefusedError as error:
        access = "; HF_TOKEN has to give access to the repository" if error.status in _NO_ACCESS else ""
        raise InputError(f"{_title(repo, revision)}: {error}{access}") from None
    lock.check(_key(repo, repo_type, revision), snapshot.commit)
    write_text(directory / _COMPLETE, "\n".join([snapshot.commit, *(file.path for file in snapshot.files)]))
    return [directory / file.path for file in snapshot.files]


def list_repository(
    repo: str,
    lock: Lock,
    *,
    repo_type: str = "model",
    revision: str = "main",
    patterns: Sequence[str] = ("*",),
) -> Snapshot:
    """List files of a repository at the recorded commit, or at that which the revision has now.

    Args:
        repo: name of the repository, owner/name.
        lock: lock that may hold the commit; it is not changed.
        repo_type: kind of the repository, `model` or `dataset`.
        revision: branch, tag or commit.
        patterns: patterns of the files' names.

    Raises:
        InputError: the repository cannot be reached, or has no such files.
    """
    title = _title(repo, revision)
    require_network(title)
    try:
        api = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        commit = lock.get(_key(repo, repo_type, revision))
        commit = commit or str(api.repo_info(repo, revision=revision, repo_type=repo_type).sha)
        tree = list(api.list_repo_tree(repo, recursive=True, revision=commit, repo_type=repo_type))
    except Exception as error:
        # The client raises its own errors, its HTTP library's and plain ones alike.
        raise InputError(
            f"{title}: {str(error).strip().splitlines()[0]}; check its name, your access to it (HF_TOKEN) "
            "and the connection, and run again: it resumes"
        ) from None
    files = [entry for entry in tree if isinstance(entry, RepoFile)]
    files = list(filter_repo_objects(files, allow_patterns=list(patterns), key=lambda file: file.path))
    outside = [file.path for file in files if ".." in file.path.split("/") or file.path.startswith("/")]
    if outside:
        raise InputError(f"{title}: {outside[0]} would be written outside of its folder; do not trust it")
    if not files:
        raise InputError(f"{title}: has no files {' '.join(patterns)} at {commit}; check its name")
    return Snapshot(commit, files)


def fetched_commit(directory: Path) -> str | None:
    """The commit of a complete download; None where the folder was not, or not completely, downloaded."""
    marker = directory / _COMPLETE
    return marker.read_text().partition("\n")[0].strip() if marker.is_file() else None


def fetched_files(directory: Path) -> list[Path] | None:
    """The files of a complete download; None where the folder was not, or not completely, downloaded."""
    marker = directory / _COMPLETE
    return [directory / name for name in marker.read_text().splitlines()[1:]] if marker.is_file() else None


def _key(repo: str, repo_type: str, revision: str) -> str:
    return f"{repo_type}s/{repo}@{revision}"


def _title(repo: str, revision: str) -> str:
    return f"the Hugging Face repository {repo} ({revision})"
