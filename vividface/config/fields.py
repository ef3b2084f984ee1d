"""What every section of the configuration is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import PydanticUndefined, to_jsonable_python

NOT_IN_PAPER = "not in the paper"


def key(
    description: str,
    source: str | None = None,
    *,
    default: Any = PydanticUndefined,
    execution: bool = False,
    **constraints: Any,
) -> Any:
    """A key of a section.

    Args:
        description: noun phrase, as config.yaml, the JSON schema and docs/configuration.md print it.
        source: place in the paper that the value comes from; None: "not in the paper", or nothing for a
            key of execution. An empty one is for names and places, of which no paper has a word.
        default: value where the key is absent; without one the key is required.
        execution: whether the key changes only how a result is computed, never the result, so that no rule
            depends on it.
        constraints: pydantic's own, such as `ge` and `max_length`.
    """
    if source is None:
        source = "" if execution else NOT_IN_PAPER
    extra: dict[str, JsonValue] = {"source": source, "execution": execution}
    return Field(default, description=description, json_schema_extra=extra, **constraints)


def without_null(entries: Any) -> Any:
    """A mapping without the entries that an overlay sets to null."""
    if isinstance(entries, Mapping):
        return {name: entry for name, entry in entries.items() if entry is not None}
    return entries


class Section(BaseModel):
    """A section of the configuration: unknown keys are errors and values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def results(self) -> dict[str, Any]:
        """JSON values of the keys that change a result, without those of how it is computed."""
        names = [name for name in self.__dict__ if not is_execution(type(self), name)]
        return {name: _results(getattr(self, name)) for name in names}

    def pick(self, *paths: str) -> dict[str, Any]:
        """As `results`, of some keys alone, nested as in the configuration.

        Args:
            paths: dotted paths of keys or sections; `*` stands for every name of a mapping.

        Raises:
            AttributeError: there is no such key.
        """
        picked: dict[str, Any] = {}
        for path in paths:
            _pick(self, path.split("."), picked)
        return picked

    def restricted(self, values: Mapping[str, Any]) -> Self:
        """A copy that holds, of the keys that change a result, only those of `values`, at any depth.

        Reading another key of the copy is an AttributeError: a rule can use nothing that it does not declare.
        """
        copy = self.model_copy()
        for name, held in list(copy.__dict__.items()):
            if name in values:
                copy.__dict__[name] = _restricted(held, values[name])
            elif not is_execution(type(self), name):
                # A section that holds keys of execution stays, without the others.
                if isinstance(held, Section):
                    copy.__dict__[name] = held.restricted({})
                else:
                    del copy.__dict__[name]
        return copy


def is_execution(section: type[Section], name: str) -> bool:
    """Whether a key changes only how a result is computed."""
    extra = section.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and bool(extra["execution"])


def _results(value: Any) -> Any:
    if isinstance(value, Section):
        return value.results()
    if isinstance(value, dict):
        return {name: _results(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_results(entry) for entry in value]
    return to_jsonable_python(value)


def _pick(value: Any, names: list[str], into: dict[str, Any]) -> None:
    first, *rest = names
    for name in list(value) if first == "*" else [first]:
        part = value[name] if isinstance(value, dict) else getattr(value, name)
        if rest and part is not None:
            _pick(part, rest, into.setdefault(name, {}))
        else:
            into[name] = _results(part)


def _restricted(value: Any, values: Any) -> Any:
    if isinstance(value, Section):
        return value.restricted(values)
    if isinstance(value, dict):
        return {name: _restricted(entry, values[name]) for name, entry in value.items() if name in values}
    return value


def _one_plus_multiple_of_four(frames: int) -> int:
    if (frames - 1) % 4:
        raise ValueError(f"{frames} frames do not fit the autoencoder: use 1 + a multiple of 4")
    return frames


Range = tuple[float, float]
Frames = Annotated[int, AfterValidator(_one_plus_multiple_of_four)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
