"""Checksums of files and folders, computed once as long as the files do not change."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from vividface.files import sha256, write_json

RECORDS = Path("provenance")
FOLDER_RECORD = "provenance.json"
_CACHE = RECORDS / ".hashes"


@dataclass(frozen=True)
class Checksum:
    """The SHA-256 of a file; or of a folder's listing, and that of each file in it by its relative path."""

    sha256: str
    files: dict[str, str] | None = None


def checksum(path: Path, *, trust_times: bool = True) -> Checksum:
    """Hash a file, or all files in a folder but the hidden ones and the folder's own record.

    Args:
        path: path of the file or folder, relative to the working directory or absolute.
        trust_times: whether a checksum computed before holds while the files' sizes and times are the same.

    Raises:
        FileNotFoundError: the path does not exist.
    """
    stamps = _stamps(path)
    cache = _CACHE / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    if trust_times:
        try:
            known = json.loads(cache.read_text())
        except (OSError, ValueError):
            known = {}
        if known.get("stamps") == stamps:
            return Checksum(known["sha256"], known["files"])
    if path.is_dir():
        files = {name: sha256(path / name) for name in stamps}
        result = Checksum(_listing(files), files)
    else:
        result = Checksum(sha256(path))
    write_json(cache, {"stamps": stamps, "sha256": result.sha256, "files": result.files})
    return result


def _stamps(path: Path) -> dict[str, list[int]]:
    """Size and time (ns) of each file."""
    if not path.is_dir():
        return {"": _stamp(path)}
    found = sorted(file for file in path.rglob("*") if file.is_file())
    names = [file.relative_to(path) for file in found]
    kept = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    return {name.as_posix(): _stamp(path / name) for name in kept if str(name) != FOLDER_RECORD}


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _listing(files: dict[str, str]) -> str:
    lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
