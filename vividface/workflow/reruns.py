"""Which rules a changed key of the configuration runs again: the one table of it.

A rule is named where the key is among its parameters or decides its inputs or its jobs; what depends on its
outputs runs again too. A test compares the table with the rules, key by key.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

import yaml

_TABLE = Path(__file__).with_name("reruns.yaml")


@cache
def reruns() -> dict[str, tuple[str, ...]]:
    """The rules that run again, by the key's path as in `vividface.config.documentation.config_keys`."""
    groups = yaml.safe_load(_TABLE.read_text())
    return {key: tuple(group["rules"]) for group in groups for key in group["keys"]}


def keys_of(rules: Collection[str]) -> list[str]:
    """The keys that run one of these rules again."""
    return [key for key, again in reruns().items() if set(again) & set(rules)]
