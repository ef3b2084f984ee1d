"""The configuration's reference, made from its fields: JSON schema, documentation, config.yaml's comments."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from vividface.config.experiment import STAGES, Config
from vividface.config.fields import Section
from vividface.config.training import TrainingConfig

_KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z0-9_]+):(?P<value>[^#]*?)(?P<comment> +#.*)?$")
# Sections that hold sections by name: the keys of the first one alone are commented.
_NAMED = "*"


@dataclass(frozen=True)
class ConfigKey:
    """A key of the configuration.

    Attributes:
        path: dotted path; `*` stands for the name of a dataset or a variant, `[]` for an entry of a list.
        description: noun phrase.
        source: place in the paper, "not in the paper", or empty for names and places.
        execution: whether the key changes only how a result is computed.
        kind: type of its value, as documentation prints it; empty for a section.
    """

    path: str
    description: str
    source: str
    execution: bool
    kind: str

    @property
    def comment(self) -> str:
        """Description, and the source in parentheses."""
        return f"{self.description} ({self.source})" if self.source else self.description


def config_keys() -> list[ConfigKey]:
    """All keys, sections before what they hold; a key of several kinds of source once, with all its types."""
    keys: dict[str, ConfigKey] = {}
    for key in _walk(Config, "", execution=False):
        same = keys.get(key.path, key)
        types = dict.fromkeys(filter(None, [*same.kind.split(", "), *key.kind.split(", ")]))
        keys[key.path] = replace(same, kind=", ".join(types))
    return list(keys.values())


def json_schema() -> dict[str, Any]:
    """The JSON schema of config.yaml and its overlays.

    An overlay holds some of the keys, and null removes a dataset, a variant or a method: nothing is required.
    """
    schema = Config.model_json_schema()
    for definition in (schema, *schema["$defs"].values()):
        definition.pop("required", None)
        for name, value in definition.get("properties", {}).items():
            value.pop("title", None)
            if name in ("datasets", "variants", "methods"):
                entries = value["patternProperties"]
                value["patternProperties"] = {
                    pattern: {"anyOf": [entry, {"type": "null"}]} for pattern, entry in entries.items()
                }
            if name == "methods":
                value["type"] = ["object", "null"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def commented(text: str) -> str:
    """A configuration file with every key's comment as its field has it.

    Of several datasets or variants the first has comments; those of the others, and of the entries
    themselves, are left as they are.
    """
    keys = {key.path: key for key in config_keys()}
    first: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    lines = []
    for line in text.splitlines():
        match = _KEY.match(line)
        if match is None:
            lines.append(line)
            continue
        indent = len(match["indent"])
        stack = [*(entry for entry in stack if entry[0] < indent), (indent, match["name"])]
        path = [name for _, name in stack]
        if path[0] in ("datasets", "variants") and len(path) > 1:
            known = first.setdefault(path[0], path[1])
            path[1] = _NAMED if path[1] == known and len(path) > 2 else path[1]
        key = keys.get(".".join(path))
        if key is not None:
            value = match["value"].rstrip()
            line = f"{match['indent']}{match['name']}:{value} # {key.comment}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def documentation(reruns: Mapping[str, Sequence[str]]) -> str:
    """docs/configuration.md.

    Args:
        reruns: rules that a key's change runs again, by its path.
    """
    lines = [
        "# Configuration",
        "",
        "Every key of `config.yaml`, from the fields of `vividface/config/`; `make schema` writes this page.",
        "",
        "An overlay (`--configfile`) holds the keys that differ. Mappings are merged key by key; anything",
        "else replaces what is below it, and so does a section of another `kind`. `null` removes a dataset,",
        "a variant or a method. Editors complete and check the files by `config.schema.json`, which their",
        "first line names.",
        "",
        "The last column names the rules that a changed key runs again, with all that depends on them. Keys",
        "without a rule change how a result is computed and never the result: they run nothing again, and an",
        "interrupted training resumes under their new values.",
    ]
    lines += ["", "## The experiment", "", *_HEAD]
    shared = set(TrainingConfig.model_fields)
    for key in config_keys():
        top, _, name = key.path.partition(".")
        if not key.kind and not name:
            inherits = ["It may hold every key of `training` too."] if top in STAGES else []
            lines += ["", f"## {top}", "", " ".join([_sentence(key), *inherits]), "", *_HEAD]
        if key.kind and not (top in STAGES and name in shared):
            rules = ", ".join(f"`{rule}`" for rule in reruns[key.path]) or "nothing"
            cells = [f"`{key.path}`", key.kind, key.description, key.source, rules]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


_HEAD = ["| key | value | description | source | runs again |", "| --- | --- | --- | --- | --- |"]


def _sentence(key: ConfigKey) -> str:
    return f"{key.comment[0].upper()}{key.comment[1:]}."


def _walk(section: type[Section], prefix: str, *, execution: bool) -> Iterator[ConfigKey]:
    for name, field in section.model_fields.items():
        extra = typing.cast(dict[str, Any], field.json_schema_extra)
        path = f"{prefix}{name}"
        inner = list(_sections(field.annotation))
        own = execution or bool(extra["execution"])
        kind = "" if inner else _kind(field)
        yield ConfigKey(path, str(field.description), str(extra["source"]), own, kind)
        for suffix, other in inner:
            yield from _walk(other, f"{path}{suffix}.", execution=own)


def _sections(annotation: Any) -> Iterator[tuple[str, type[Section]]]:
    """The sections that a field holds, with what their path has behind the field's name."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield "", annotation
        return
    origin = get_origin(annotation)
    suffix = f".{_NAMED}" if origin is dict else "[]" if origin is list else ""
    for part in get_args(annotation):
        yield from ((f"{suffix}{inner}", section) for inner, section in _sections(part))


def _kind(field: FieldInfo) -> str:
    return _type(field.annotation)


def _type(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _type(parts[0])
    if origin is typing.Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, UnionType):
        return " or ".join(_type(part) for part in parts)
    if origin is list:
        return f"list of {_type(parts[0])}"
    if origin is tuple:
        return "two numbers"
    if origin is dict:
        return f"{_type(parts[1])} by name"
    names = {"int": "integer", "float": "number", "bool": "true or false", "str": "text", "Path": "path"}
    return "null" if annotation is type(None) else names[annotation.__name__]
