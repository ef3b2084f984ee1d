"""What a published method needs on this machine: its code, its environment and its weights."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from vividface.devices import choose_device
from vividface.downloads import Download, Lock, cache_directory, fetch_file
from vividface.errors import InputError
from vividface.evaluation.methods.checkout import fetch_source
from vividface.evaluation.methods.description import HandWeights, HubWeights, PublishedMethod, Weights
from vividface.evaluation.methods.environment import Interpreter, build_environment
from vividface.files import sha256
from vividface.hub import fetch_repository, fetched_commit
from vividface.weights.licences import refusals


@dataclass(frozen=True)
class Installation:
    """Where a method's parts lie.

    Attributes:
        name: name of the method.
        method: the method.
        folder: folder of its parts.
    """

    name: str
    method: PublishedMethod
    folder: Path

    @classmethod
    def of(cls, name: str, method: PublishedMethod) -> Installation:
        """The installation of a method in the local cache, which may not be made yet."""
        return cls(name, method, cache_directory() / "methods" / Path(name).stem)

    @property
    def source(self) -> Path:
        """Folder of its code, patched."""
        return self.folder / f"source-{self.method.source_fingerprint[:12]}"

    @property
    def interpreter(self) -> Interpreter:
        """Its environment."""
        return Interpreter(self.folder / f"environment-{self.method.environment_fingerprint[:12]}")

    @property
    def weights(self) -> Path:
        """Folder of its weights, by their paths in the checkout."""
        return self.folder / "weights"

    def missing(self, accepted: Collection[str]) -> list[str]:
        """Reasons why it cannot run here: what is not accepted, and what is not there.

        Args:
            accepted: ids of the licences that the user accepts.
        """
        reasons = self.refusals(accepted)
        lacking = [file for file in self.method.weights if not self._has(file)]
        by_hand = [file for file in lacking if isinstance(file, HandWeights)]
        if not self.source.is_dir() or not self.interpreter.is_complete or len(by_hand) < len(lacking):
            reasons.append(f"{self.name}: is not fetched; run `vividface methods fetch {self.name}`")
        reasons += [_ask_for(self, file) for file in by_hand]
        return [*reasons, self.missing_gpu] if self.missing_gpu else reasons

    def refusals(self, accepted: Collection[str]) -> list[str]:
        """A sentence for each of its licences that is not accepted.

        Args:
            accepted: ids of the licences that the user accepts.
        """
        return refusals(self.name, self.method.licences, accepted)

    @property
    def missing_gpu(self) -> str:
        """Why it cannot compute on this machine, or nothing."""
        if self.method.needs_gpu and choose_device("auto") != "cuda":
            return f"{self.name}: runs on a GPU alone, and none is visible here"
        return ""

    def _has(self, file: Weights) -> bool:
        path = self.weights / file.path
        return fetched_commit(path) is not None if isinstance(file, HubWeights) else path.exists()

    def prepare(self, accepted: Collection[str]) -> None:
        """Bring the code and build the environment; what is there already stays. Needs the network.

        Args:
            accepted: ids of the licences that the user accepts.

        Raises:
            InputError: a licence is not accepted, or a part cannot be brought; the message says which.
        """
        if refused := self.refusals(accepted):
            raise InputError(refused[0])
        fetch_source(self.method, self.source)
        build_environment(self.method, self.interpreter, self.source, weights=self.weights)

    def fetch(self, accepted: Collection[str], lock: Lock) -> dict[str, str]:
        """Bring the weights too; what is there already stays. Needs the network.

        Args:
            accepted: ids of the licences that the user accepts.
            lock: checksums and commits of what comes without one.

        Returns:
            checksums of the weights, or commits of their repositories, by path in the checkout.

        Raises:
            InputError: a licence is not accepted, or a part cannot be fetched; the message says which.
        """
        self.prepare(accepted)
        fetched = {file.path: self._fetch_weights(file, lock) for file in self.method.weights}
        for file in self.method.weights:
            _link(self.source / file.path, self.weights / file.path)
        return fetched

    def _fetch_weights(self, file: Weights, lock: Lock) -> str:
        path = self.weights / file.path
        if isinstance(file, HubWeights):
            fetch_repository(file.repo, path, lock, revision=file.revision, patterns=file.patterns)
            return fetched_commit(path) or ""
        if isinstance(file, HandWeights):
            return self._check_by_hand(file, path, lock)
        fetch_file(Download(file.url, path, file.sha256), lock)
        return sha256(path)

    def _check_by_hand(self, file: HandWeights, path: Path, lock: Lock) -> str:
        if not path.exists():
            raise InputError(_ask_for(self, file))
        if path.is_dir():
            return ""
        found = sha256(path)
        if file.sha256 is not None and found != file.sha256:
            raise InputError(
                f"{path}: its sha256 is {found}, but {file.sha256} is expected; get it again from {file.page}"
            )
        lock.check(f"{file.page}#{file.file}", found)
        return found


def _ask_for(installation: Installation, file: HandWeights) -> str:
    path, name = installation.weights / file.path, installation.name
    return f"{name}: needs {file.file}, which no program can fetch; get it from {file.page} as {path}"


def _link(link: Path, target: Path) -> None:
    """Make weights seen in a checkout, in place of what its repository has there.

    Of a folder that is there too, the entries are linked one by one.
    """
    if link.is_symlink():
        link.unlink()
    if link.is_dir() and target.is_dir():
        for entry in target.iterdir():
            _link(link / entry.name, entry)
        return
    link.unlink(missing_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
