"""Downloading the pretrained parts of the model from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from vividface.config import ModelConfig
from vividface.downloads import LOCKS, Lock
from vividface.hub import fetch_repository


def fetch_pretrained(model_config: ModelConfig, *, locks: Path = LOCKS) -> list[Path]:
    """Download the folders of the model's parts, unless they are complete.

    Args:
        model_config: repository, revision and folders of the parts.
        locks: folder of the lock, `pretrained.json`, that the commit is recorded in.

    Returns:
        the folders; none where the model needs no pretrained weights.

    Raises:
        InputError: the repository cannot be reached, or not all of its files arrived.
    """
    source, folders = model_config.pretrained, list(model_config.pretrained_parts().values())
    if source is None or not folders:
        return []
    patterns = [f"{folder.relative_to(source.folder)}/*" for folder in folders]
    lock = Lock(locks / "pretrained.json")
    fetch_repository(source.repo, source.folder, lock, revision=source.revision, patterns=patterns)
    return folders
