"""What `vividface weights fetch` and `vividface weights list` do."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from vividface.errors import InputError
from vividface.extras import require
from vividface.files import format_size
from vividface.models.fetching import Amounts, ModelFetch, existing_parent, require_space
from vividface.models.published import model_fetch
from vividface.weights.cache import (
    fetch_weights,
    hide_cache_from_git,
    is_cached,
    unaccepted,
    weights_size,
    weights_state,
)
from vividface.weights.catalogue import CATALOGUE, GROUPS
from vividface.weights.published import PUBLISHED

_ALL = "all"
_SHOWN = 4
_Row = tuple[str, str, str, str, str]


def fetch(names: Sequence[str], *, accept_licence: bool, accepted: Collection[str], keep: bool) -> None:
    """Fetch models, groups and files by their names, and print where each is.

    Args:
        names: names of published models, groups and files; `all` is everything.
        accept_licence: whether the licences of the models are accepted; otherwise a terminal is asked.
        accepted: ids of the licences of files that are accepted.
        keep: whether downloads are kept that are not needed any more.

    Raises:
        InputError: there is no such name, a licence is not accepted, there is no room, or a download fails.
    """
    models, files = _resolve(names)
    fetches = [model_fetch(name) for name in models]
    missing = [f for f in fetches if not f.is_complete()]
    for model in missing:
        require(*model.model.modules)
    for file in files:
        if refused := unaccepted(file, accepted):
            raise InputError(refused[0])
    _require_licences(missing, accepted=accept_licence)
    _require_space(missing, keep=keep)
    hide_cache_from_git()
    for file in files:
        if not is_cached(file):
            _tell(f"{file}: {CATALOGUE[file].what}; licence: {CATALOGUE[file].licence}")
        print(fetch_weights(file, accepted=accepted))
    for model in fetches:
        if not model.is_complete():
            model.run(keep=keep, tell=_tell)
            if model.model.use:
                _tell(f"{model.name}: is complete; use it with `{model.model.use}`")
        print(model.folder)


def _resolve(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The models and the files that names stand for, each once."""
    models: dict[str, None] = {}
    files: dict[str, None] = {}
    for name in names:
        if name == _ALL:
            models |= dict.fromkeys(PUBLISHED)
            files |= dict.fromkeys(CATALOGUE)
        elif name in PUBLISHED:
            models[name] = None
            files |= dict.fromkeys(file for group in PUBLISHED[name].groups for file in GROUPS[group])
        elif name in GROUPS or name in CATALOGUE:
            files |= dict.fromkeys(GROUPS.get(name, [name]))
        else:
            raise InputError(f"{name}: no such weights; `vividface weights list` names all")
    return list(models), list(files)


def _require_licences(fetches: Sequence[ModelFetch], *, accepted: bool) -> None:
    """Show what each model is and its licence, and have it accepted."""
    for fetch in fetches:
        model = fetch.model
        _tell(f"{fetch.name}: {model.what}\n  licence   {model.licence}\n  page      {model.page}")
        if accepted:
            continue
        asked = sys.stdin.isatty() and sys.stderr.isatty()
        if not (asked and input("Do you accept the licence? [y/N] ").strip().lower() in ("y", "yes")):
            raise InputError(
                f"{fetch.name}: its licence has to be accepted; read it at {model.page}, then add "
                "--accept-licence"
            )


def _require_space(fetches: Sequence[ModelFetch], *, keep: bool) -> None:
    """Say how much each model takes, and refuse what the disk has no room for."""
    amounts = [(fetch, fetch.amounts(keep=keep)) for fetch in fetches]
    for fetch, amount in amounts:
        _tell(_needs(fetch, amount))
    require_space(amounts)


def _needs(fetch: ModelFetch, amounts: Amounts) -> str:
    place = existing_parent(fetch.downloads or fetch.folder)
    free = format_size(shutil.disk_usage(place).free)
    disk = f"{format_size(amounts.disk)} at most, {format_size(max(amounts.kept, 0))} afterwards"
    lines = [
        f"{fetch.name}:",
        f"download  {format_size(amounts.download)}",
        f"disk      {disk}; {free} are free in {place}",
    ]
    if amounts.memory:
        lines.append(f"memory    {format_size(amounts.memory)}, while the text encoder runs")
    return "\n  ".join(lines)


def show_list() -> None:
    """Print all models, groups and files: name, size, state, what it is, licence."""
    sections = {
        "model": [_model_row(name) for name in PUBLISHED],
        "group": [_group_row(name) for name in sorted(GROUPS)],
        "file": [_file_row(name) for name in sorted(CATALOGUE)],
    }
    heads = [(title, "size", "state", "licence", "what") for title in sections]
    rows = [*heads, *(row for section in sections.values() for row in section)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for head, section in zip(heads, sections.values(), strict=True):
        for name, size, state, licence, what in (head, *section):
            columns = (f"{name:{widths[0]}}", f"{size:>{widths[1]}}", f"{state:{widths[2]}}")
            print("  ".join((*columns, f"{licence:{widths[3]}}", what)))
        print()
    print("`vividface weights fetch NAME` shows a licence in full; the name `all` stands for everything.")


def _model_row(name: str) -> _Row:
    model, state, size = PUBLISHED[name], "not fetched", PUBLISHED[name].size
    try:
        fetch = model_fetch(name)
    except InputError:
        # Its folders are named by a config.yaml, which is not here.
        return name, _size(size), state, _brief(model.licence), model.what
    if fetch.is_complete():
        state, size = "fetched", _folder_size(fetch.folder)
    elif fetch.has_begun():
        state, size = "partly", fetch.model.size
    return name, _size(size), state, _brief(fetch.model.licence), fetch.model.what


def _group_row(name: str) -> _Row:
    states = {weights_state(file) for file in GROUPS[name]}
    sizes = [weights_size(file) for file in GROUPS[name]]
    known = [size for size in sizes if size is not None]
    size = sum(known) if len(known) == len(sizes) else None
    here = {"bundled", "fetched"}
    state = "fetched" if states <= here else "partly" if states & {*here, "partly"} else "not fetched"
    state = "bundled" if states == {"bundled"} else state
    files = GROUPS[name]
    what = ", ".join(files) if len(files) <= _SHOWN else f"{len(files)} files"
    licences = dict.fromkeys(_brief(CATALOGUE[file].licence) for file in files)
    return name, _size(size), state, next(iter(licences)) if len(licences) == 1 else "several", what


def _file_row(name: str) -> _Row:
    file = CATALOGUE[name]
    return name, _size(weights_size(name)), weights_state(name), _brief(file.licence), file.what


def _brief(licence: str) -> str:
    """The beginning of a licence's text, which dots follow where it is longer."""
    first = re.split("[,;]", licence)[0]
    return first if first == licence else f"{first} ..."


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(num_bytes: int | None) -> str:
    return "-" if num_bytes is None else format_size(num_bytes)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
