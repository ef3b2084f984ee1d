"""Reading YAML files: overlays, validation, and one-line errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vividface.config.experiment import Config
from vividface.config.restoration import EnhanceConfig
from vividface.errors import InputError

# libyaml's, where it was compiled in: ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_config(*paths: Path | str) -> Config:
    """Read YAML files, later ones laid over earlier ones, and validate the result.

    Args:
        paths: config.yaml, then its overlays.

    Raises:
        InputError: a file cannot be read, or a key is wrong; the message names it.

    Example:
        >>> from vividface import load_config
        >>> load_config("config.yaml", "configs/demo.yaml").clips.size
        128
    """
    return validate_config(merge_files(paths))


def merge_files(paths: list[Path | str] | tuple[Path | str, ...]) -> dict[str, Any]:
    """The content of YAML files, later ones laid over earlier ones; see `merge`."""
    merged: dict[str, Any] = {}
    for path in paths:
        merged = merge(merged, read_yaml(path))
    return merged


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        values = yaml.load(Path(path).read_text(), Loader=_LOADER)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; check the path and the current folder") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from None
    if values is not None and not isinstance(values, dict):
        raise InputError(f"{path}: is no mapping of keys to values; see config.yaml for its form")
    return values or {}


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `overlay` over `base`.

    Mappings are merged key by key; anything else replaces what is below it. So does a mapping of another
    `kind`: the keys of one kind of source mean nothing to another.
    """
    merged = dict(base)
    for name, value in overlay.items():
        below = merged.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and not _other_kind(below, value):
            value = merge(below, value)
        merged[name] = value
    return merged


def _other_kind(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    return "kind" in above and "kind" in below and above["kind"] != below["kind"]


def validate_config(values: Mapping[str, Any]) -> Config:
    """Validate a nested mapping.

    Raises:
        InputError: in one line, naming each wrong key by its dotted path.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise InputError(f"configuration: {describe_problems(error)}") from None


def validate_enhance(values: dict[str, Any]) -> EnhanceConfig:
    """The settings of `vividface enhance`.

    Args:
        values: values by key of `EnhanceConfig`.

    Raises:
        InputError: a value is wrong.
    """
    try:
        return EnhanceConfig.model_validate(values)
    except ValidationError as error:
        raise InputError(f"options: {describe_problems(error)}") from None


def describe_problems(error: ValidationError) -> str:
    """All problems of a validation in one line, each with the dotted path of its key."""
    return "; ".join(_describe(problem) for problem in error.errors())


def _describe(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key; remove it or correct its spelling"
    if problem["type"] == "missing":
        message = "this key is required"
    path = ".".join(str(part) for part in problem["loc"])
    return f"{path}: {message}" if path else message
