"""The temporary folder of a server, which is gone when it ends, or when the next one starts."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "vividface-web-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder, readable by this user alone; those that killed servers left are removed first."""
    root = Path(tempfile.gettempdir())
    _remove_stale(root)
    # It gets its name when it is locked: another server that starts now takes no unlocked folder for stale.
    hidden = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=root))
    lock = os.open(hidden, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = hidden.rename(root / hidden.name.removeprefix("."))
        try:
            yield folder
        finally:
            remove(folder)
    finally:
        os.close(lock)


def remove(folder: Path) -> None:
    """Remove a folder with all it holds, also while somebody still writes to it; it need not exist."""
    shutil.rmtree(folder, ignore_errors=True)


def _remove_stale(root: Path) -> None:
    """Remove this user's folders that no living process holds the lock of."""
    for folder in root.glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
            continue
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            remove(folder)
        finally:
            os.close(lock)
