"""Downloading the pretrained parts of the model from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from vividface.config import ModelConfig
from vividface.downloads import LOCKS
from vividface.weights.sources import pretrained_source


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
    source = pretrained_source(model_config, locks=locks)
    if source is None:
        return []
    source.fetch()
    return list(model_config.pretrained_parts().values())
