"""Safe extraction of untrusted archives."""

from __future__ import annotations

import contextlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import zstandard

from vividface.errors import InputError
from vividface.files import atomic_path

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def is_archive(path: Path | str) -> bool:
    """Whether a file's name says that it is an archive."""
    return Path(path).name.lower().endswith(SUFFIXES)


def unpacked_folder(archive: Path) -> Path:
    """The folder that stands for an archive once it is unpacked: its name without the suffix.

    For a file that is no archive, a name that no folder has.
    """
    suffix = next((suffix for suffix in SUFFIXES if archive.name.lower().endswith(suffix)), None)
    return archive.with_name(archive.name[: -len(suffix)] if suffix else f"{archive.name}.unpacked")


def unpack(archive: Path, directory: Path, *, max_bytes: int) -> None:
    """Unpack an archive into a folder, atomically.

    Args:
        archive: zip, tar, or a compressed tar (gzip, bzip2, xz, Zstandard).
        directory: folder of the files, replaced if it exists.
        max_bytes: size of all files together above which nothing is unpacked.

    Raises:
        InputError: the archive is damaged, holds more than `max_bytes`, a member that would be written
            outside of the folder, a link or a device; nothing is left behind.
    """
    left = max_bytes
    with atomic_path(directory) as folder:
        folder.mkdir()
        try:
            for name, content in _members(archive):
                target = folder / _safe(archive, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    while chunk := content.read(1 << 20):
                        left -= len(chunk)
                        if left < 0:
                            raise InputError(
                                f"{archive}: holds more than {max_bytes / 1e9:g} GB; raise max_unpacked_gb "
                                "of its source if you trust it"
                            )
                        file.write(chunk)
        except (
            zipfile.BadZipFile,
            tarfile.TarError,
            zstandard.ZstdError,
            zlib.error,
            EOFError,
            NotImplementedError,
        ) as error:
            raise InputError(f"{archive}: is damaged ({error}); delete it and fetch it again") from None
        except FileExistsError as error:
            raise InputError(
                f"{archive}: holds {Path(error.filename).name} twice; it is not unpacked"
            ) from None
        except (RuntimeError, OSError) as error:
            raise InputError(f"{archive}: cannot be unpacked ({error})") from None


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of every regular file, in the archive's order."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                if _is_zip_link(member):
                    _refuse(archive, member.filename, "is a link")
                if not member.is_dir():
                    with file.open(member) as content:
                        yield member.filename, content
        return
    with _open_tar(archive) as tar:
        for entry in tar:
            if entry.isfile():
                file_of_entry = tar.extractfile(entry)
                assert file_of_entry is not None
                yield entry.name, file_of_entry
            elif not entry.isdir():
                _refuse(archive, entry.name, "is a link or a device")


@contextlib.contextmanager
def _open_tar(archive: Path) -> Iterator[tarfile.TarFile]:
    if archive.name.lower().endswith(".zst"):
        with (
            archive.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            yield tar
    else:
        with tarfile.open(archive) as tar:
            yield tar


def _is_zip_link(member: zipfile.ZipInfo) -> bool:
    return (member.external_attr >> 28) == 0o12


def _safe(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0] or not path.parts:
        _refuse(archive, name, "lies outside of its folder")
    return path


def _refuse(archive: Path, name: str, why: str) -> None:
    raise InputError(f"{archive}: its member {name!r} {why}; do not trust this archive")
