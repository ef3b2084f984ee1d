"""What published models are made of: files of the Hugging Face Hub or of the web, and where they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vividface.config.filtering import QwenConfig
from vividface.config.model import ModelConfig
from vividface.downloads import LOCKS, Download, Lock, content_length, fetch_file, part_of
from vividface.hub import fetch_repository, fetched_files, list_repository
from vividface.weights.catalogue import WebFile

# Of the repository of a model of transformers.
_JUDGE_FILES = ("*.json", "*.jinja", "*.txt", "*.safetensors")


@dataclass(frozen=True)
class HubFiles:
    """Files of a repository of the Hugging Face Hub.

    Attributes:
        repo: name of the repository, owner/name.
        patterns: patterns of the files' names.
        revision: branch, tag or commit.
    """

    repo: str
    patterns: tuple[str, ...]
    revision: str = "main"


@dataclass(frozen=True)
class Source:
    """Files that are downloaded together.

    Attributes:
        files: origin of the files.
        folder: folder that they are downloaded to.
        lock: path of the lock that their commit or checksum is recorded in.
    """

    files: HubFiles | WebFile
    folder: Path
    lock: Path

    def fetch(self) -> list[Path]:
        """Download what is missing, resume what is not whole, verify all of it, and return the files.

        Raises:
            InputError: they cannot be reached, are not what was asked for, or the disk is full.
        """
        files, lock = self.files, Lock(self.lock)
        if isinstance(files, HubFiles):
            return fetch_repository(
                files.repo, self.folder, lock, revision=files.revision, patterns=files.patterns
            )
        path = self._path(files)
        fetch_file(Download(files.url, path, files.sha256), lock)
        return [path]

    def fetched(self) -> list[Path] | None:
        """The files, if all are there; never touches the network."""
        if isinstance(self.files, HubFiles):
            return fetched_files(self.folder)
        path = self._path(self.files)
        return [path] if path.is_file() else None

    def sizes(self) -> dict[Path, int]:
        """The files with their sizes, bytes, of which the publisher is asked where they are not there.

        Raises:
            InputError: the publisher cannot be reached.
        """
        if (paths := self.fetched()) is not None:
            return {path: path.stat().st_size for path in paths}
        if isinstance(self.files, WebFile):
            return {self._path(self.files): content_length(self.files.url)}
        files = self.files
        snapshot = list_repository(
            files.repo, Lock(self.lock), revision=files.revision, patterns=files.patterns
        )
        return {self.folder / file.path: file.size for file in snapshot.files}

    def _path(self, file: WebFile) -> Path:
        return self.folder / file.url.rpartition("/")[2]


def num_present(path: Path) -> int:
    """The number of bytes of a file that have arrived."""
    return next((file.stat().st_size for file in (path, part_of(path)) if file.is_file()), 0)


def pretrained_source(config: ModelConfig, *, locks: Path = LOCKS) -> Source | None:
    """Wan's folders as the configuration names them; None where the model needs no download.

    Args:
        config: repository, revision and folders of the parts.
        locks: folder of the lock.
    """
    source, folders = config.pretrained, config.pretrained_parts().values()
    if source is None or not folders:
        return None
    patterns = tuple(f"{folder.relative_to(source.folder)}/*" for folder in folders)
    return Source(HubFiles(source.repo, patterns, source.revision), source.folder, locks / "pretrained.json")


def judge_source(config: QwenConfig, *, locks: Path = LOCKS) -> Source:
    """The judge's model as the configuration names it.

    Args:
        config: repository, revision and folder of the model.
        locks: folder of the lock.
    """
    return Source(HubFiles(config.repo, _JUDGE_FILES, config.revision), config.folder, locks / "judge.json")
