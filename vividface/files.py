"""Atomic file writes, and checksums."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 1 << 20


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` when the block ends well.

    Works for a file or a folder that the block creates; the temporary name keeps the suffix, which ffmpeg
    and pandas read. When the block fails nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


@contextmanager
def resumable_folder(path: Path | str) -> Iterator[Path]:
    """Yield a folder beside `path` that becomes `path` when the block ends well.

    Where the block fails, or the process is killed, the folder stays, and the next block is given the same.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.partial")
    temporary.mkdir(parents=True, exist_ok=True)
    yield temporary
    if path.is_dir():
        shutil.rmtree(path)
    temporary.replace(path)


def remove_stale(path: Path | str) -> None:
    """Remove what processes that were killed in `atomic_path` left of a path."""
    path = Path(path)
    fitting = re.compile(rf"\.{re.escape(path.stem)}\.[0-9]+\.partial{re.escape(path.suffix)}")
    for file in path.parent.iterdir():
        if fitting.fullmatch(file.name) and file.is_file():
            file.unlink()


def format_size(num_bytes: int) -> str:
    """A number of bytes for people, in powers of ten, as disks are sold: 22.7 GB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} B"


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk, or a quota of it, is full; safetensors' errors have no number."""
    numbers = (errno.ENOSPC, errno.EDQUOT)
    known = isinstance(error, OSError) and error.errno in numbers
    return known or any(f"(os error {number})" in str(error) for number in numbers)


def natural_order(path: Path) -> tuple[tuple[str | int, ...], str]:
    """A key that sorts names as people count: frame2 before frame10.

    Text and numbers alternate, so that a text is never compared with a number.
    """
    pieces = re.split(r"([0-9]+)", path.stem.casefold())
    return tuple(int(piece) if index % 2 else piece for index, piece in enumerate(pieces)), path.name


def write_json(path: Path | str, values: Any) -> None:
    """Write JSON with sorted keys, atomically."""
    write_text(path, json.dumps(values, indent=2, sort_keys=True) + "\n")


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table as Parquet, atomically."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def digest(value: Any) -> str:
    """The hexadecimal SHA-256 of a value of JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def seeded_hash(seed: int, name: str) -> bytes:
    """The SHA-256 of a seed and a name, to draw or order names whichever others there are."""
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def sha256(path: Path | str) -> str:
    """The hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
