"""A training's states on disk: whole or not there, checked when read, and used by no other run."""

from __future__ import annotations

import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vividface.errors import InputError
from vividface.files import atomic_path, sha256, write_json

logger = logging.getLogger(__name__)

_NAME = re.compile(r"step-(\d{8})")


@dataclass(frozen=True)
class State:
    """Everything that an interrupted run goes on from.

    Attributes:
        step: steps that are done, which is also the position in the data.
        model: weights by name, as trained.
        ema: their moving averages, likewise.
        optimizer: state of the optimiser.
        progress: what else changes and is not a tensor: the schedule, the averages' counters, the curve.
        random: states of the random generators.
    """

    step: int
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Any]
    progress: dict[str, Any]
    random: dict[str, Any]


class StateFolder:
    """The states of one run, a folder each: `step-NNNNNNNN/`.

    Args:
        path: the folder.
        settings: what the states depend on; they are used again only if it is the same.
        keep_last: how many states are kept.
        keep_every: states whose step is a multiple of this are kept for good; 0: none.
    """

    def __init__(self, path: Path, settings: dict[str, Any], keep_last: int = 2, keep_every: int = 0) -> None:
        self.path = Path(path)
        self._settings = json.loads(json.dumps(settings))
        self._keep_last, self._keep_every = keep_last, keep_every

    def save(self, state: State) -> None:
        """Write a state, then remove those that are not kept."""
        self._clear()
        with atomic_path(self._folder(state.step)) as temporary:
            temporary.mkdir()
            save_file(state.model, temporary / "model.safetensors")
            save_file(state.ema, temporary / "ema.safetensors")
            torch.save({"optimizer": state.optimizer, "random": state.random}, temporary / "optimizer.pt")
            write_json(temporary / "progress.json", state.progress)
            sums = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
            write_json(temporary / "manifest.json", {"settings": self._settings, "sha256": sums})
        for step in self._steps()[: -self._keep_last]:
            if not (self._keep_every and step % self._keep_every == 0):
                shutil.rmtree(self._folder(step))

    def newest(self) -> State | None:
        """The newest whole state; a damaged one is reported and the one before it taken.

        Raises:
            InputError: the states are of a run with other settings.
        """
        for step in reversed(self._steps()):
            folder = self._folder(step)
            try:
                manifest = json.loads((folder / "manifest.json").read_text())
                damaged = [name for name, sum_ in manifest["sha256"].items() if sha256(folder / name) != sum_]
            except (OSError, ValueError, KeyError) as error:
                logger.warning("%s: is damaged (%s); the state before it is used", folder, error)
                continue
            if damaged:
                logger.warning("%s: %s is damaged; the state before it is used", folder, ", ".join(damaged))
                continue
            self._require_same(manifest["settings"])
            return _read(folder, step)
        return None

    def finish(self) -> None:
        """Remove the states that are not kept for good."""
        self._clear()
        for step in self._steps():
            if not (self._keep_every and step % self._keep_every == 0):
                shutil.rmtree(self._folder(step))
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def _clear(self) -> None:
        """Remove what a process that was killed while it saved has left."""
        for path in self.path.glob(".*.partial"):
            shutil.rmtree(path)

    def _require_same(self, before: dict[str, Any]) -> None:
        names = sorted(before | self._settings)
        changed = [name for name in names if before.get(name) != self._settings.get(name)]
        if changed:
            raise InputError(
                f"{self.path}: the states in it are of a run with another {', '.join(changed)}; set it back "
                "to go on with that run, or remove the folder to begin anew"
            )

    def _folder(self, step: int) -> Path:
        return self.path / f"step-{step:08d}"

    def _steps(self) -> list[int]:
        found = self.path.iterdir() if self.path.is_dir() else ()
        return sorted(int(match[1]) for path in found if (match := _NAME.fullmatch(path.name)))


def _read(folder: Path, step: int) -> State:
    rest = torch.load(folder / "optimizer.pt", weights_only=True, map_location="cpu")
    return State(
        step,
        load_file(folder / "model.safetensors"),
        load_file(folder / "ema.safetensors"),
        rest["optimizer"],
        json.loads((folder / "progress.json").read_text()),
        rest["random"],
    )
