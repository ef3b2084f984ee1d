"""Downloading repositories of the Hugging Face Hub, at a commit that is recorded on first use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub.utils import filter_repo_objects

from vividface.downloads import Lock, require_network
from vividface.errors import InputError
from vividface.files import write_text

# Its first line is the commit of a complete download, the others are the names of its files.
_COMPLETE = ".complete"


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

    The revision is resolved to a commit on first use, and this commit is downloaded ever after.

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
        InputError: the repository cannot be reached, or not all of its files arrived.
    """
    key = f"{repo_type}s/{repo}@{revision}"
    commit = lock.get(key)
    if commit is not None and fetched_commit(directory) == commit:
        return _fetched_files(directory)
    title = f"the Hugging Face repository {repo} ({revision})"
    require_network(title)
    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        api = huggingface_hub.HfApi(endpoint=endpoint)
        commit = commit or str(api.repo_info(repo, revision=revision, repo_type=repo_type).sha)
        names = api.list_repo_files(repo, revision=commit, repo_type=repo_type)
        huggingface_hub.snapshot_download(
            repo,
            repo_type=repo_type,
            revision=commit,
            allow_patterns=list(patterns),
            local_dir=directory,
            max_workers=max_parallel,
            endpoint=endpoint,
        )
    except Exception as error:
        # The client raises its own errors, its HTTP library's and plain ones alike.
        raise InputError(
            f"{title}: {str(error).strip().splitlines()[0]}; check its name, your access to it (HF_TOKEN) "
            "and the connection, and run again: it resumes"
        ) from None
    names = list(filter_repo_objects(names, allow_patterns=list(patterns)))
    # Without a connection the client is content with the files that exist.
    if not names or not all((directory / name).is_file() for name in names):
        raise InputError(f"{title}: not all of its files arrived; run again, it resumes")
    lock.check(key, commit)
    write_text(directory / _COMPLETE, "\n".join([commit, *names]))
    return [directory / name for name in names]


def fetched_commit(directory: Path) -> str | None:
    """The commit of a complete download; None where the folder was not, or not completely, downloaded."""
    marker = directory / _COMPLETE
    return marker.read_text().partition("\n")[0].strip() if marker.is_file() else None


def _fetched_files(directory: Path) -> list[Path]:
    _, *names = (directory / _COMPLETE).read_text().splitlines()
    return [directory / name for name in names]
