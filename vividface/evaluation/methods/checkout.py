"""A published method's code at its commit, with our patches."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from vividface.downloads import require_network
from vividface.errors import InputError
from vividface.evaluation.methods.description import PublishedMethod
from vividface.evaluation.methods.programs import run_program
from vividface.files import atomic_path

# No password is asked for: a repository that is gone looks private to git.
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}


def fetch_source(method: PublishedMethod, folder: Path) -> None:
    """Check out a method's commit and apply the patches, unless that is done.

    Args:
        method: the method.
        folder: folder of the checkout, which appears complete or not at all.

    Raises:
        InputError: the commit cannot be fetched, or a patch does not fit it.
    """
    if folder.is_dir():
        return
    address = repository_address(method.repository)
    if not Path(address).exists():
        require_network(address)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        _git(method, temporary, "init", "--quiet")
        _git(method, temporary, "remote", "add", "origin", address)
        _git(method, temporary, "fetch", "--quiet", "--depth=1", "origin", method.commit)
        _git(method, temporary, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        head = _git(method, temporary, "rev-parse", "HEAD").strip()
        if head != method.commit:
            raise InputError(
                f"{method.title}: {address} gave the commit {head}, but {method.commit} is asked for; "
                "correct `commit` in its description"
            )
        if method.submodules:
            update = ("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
            _git(method, temporary, *_mirrored(), *update)
        _apply_patches(method, temporary)


def repository_address(repository: str) -> str:
    """Where a repository is fetched from: its own address, or its copy in the folder VIVIDFACE_MIRROR.

    Args:
        repository: address; the copy is named after its last two parts, `owner/name` or `owner/name.git`.
    """
    if mirror := os.environ.get("VIVIDFACE_MIRROR"):
        owner, name = re.split(r"[/:]", repository.rstrip("/").removesuffix(".git"))[-2:]
        for copy in (Path(mirror) / owner / name, Path(mirror) / owner / f"{name}.git"):
            if copy.is_dir():
                return str(copy.absolute())
    return repository


def _mirrored() -> list[str]:
    """Options of git that fetch submodules from the mirror, if there is one."""
    if mirror := os.environ.get("VIVIDFACE_MIRROR"):
        copies = f"url.{Path(mirror).absolute()}/.insteadOf=https://github.com/"
        return ["-c", copies, "-c", "protocol.file.allow=always"]
    return []


def _apply_patches(method: PublishedMethod, folder: Path) -> None:
    for number, patch in enumerate(method.patches, 1):
        applied = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", "-"],
            cwd=folder,
            input=patch.diff,
            text=True,
            capture_output=True,
            check=False,
        )
        if applied.returncode:
            reason = applied.stderr.strip().splitlines()[:1]
            raise InputError(
                f"{method.title}: patch {number} ({patch.why}) does not fit the commit {method.commit[:12]} "
                f"({''.join(reason)}); correct it in the method's description"
            )


def _git(method: PublishedMethod, folder: Path, *arguments: str) -> str:
    return run_program(["git", *arguments], title=f"code of {method.title}", folder=folder, variables=_QUIET)
