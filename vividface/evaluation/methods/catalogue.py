"""The published methods by their names."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vividface.config.evaluation import PublishedMethodConfig
from vividface.config.loading import describe_problems, read_yaml
from vividface.errors import InputError
from vividface.evaluation.methods.description import PublishedMethod

_FOLDER = Path(__file__).parent / "published"


@cache
def published_methods() -> dict[str, PublishedMethod]:
    """All of them, in the order of their names.

    Raises:
        InputError: a description is wrong.
    """
    return {path.stem: read_method(path) for path in sorted(_FOLDER.glob("*.yaml"))}


def published_method(name: str) -> PublishedMethod:
    """One of them.

    Args:
        name: its name, or the path of another description, which ends in `.yaml`.

    Raises:
        InputError: there is no such method, or its description is wrong.
    """
    if name.endswith(".yaml"):
        return read_method(Path(name))
    path = _FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(file.stem for file in sorted(_FOLDER.glob("*.yaml")))
        raise InputError(f"{name}: there is no such published method; choose of {known}")
    return read_method(path)


def configured_method(name: str, method_config: PublishedMethodConfig) -> PublishedMethod:
    """The method that a name of the configuration stands for.

    Args:
        name: its name.
        method_config: its section.

    Raises:
        InputError: there is no such method, or its description is wrong.
    """
    return (
        published_method(name)
        if method_config.description is None
        else read_method(method_config.description)
    )


def read_method(path: Path) -> PublishedMethod:
    """A method's description, validated.

    Args:
        path: YAML file.

    Raises:
        InputError: it cannot be read, or a key is wrong; the message names it.
    """
    values: dict[str, Any] = read_yaml(path)
    try:
        return PublishedMethod.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {describe_problems(error)}; docs/methods.md has the keys") from None
