"""A training's states on disk: written atomically, checked when read, tied to the settings of their run."""

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


@dataclass(frozen=True, kw_only=True)
class State:
    """Everything that an interrupted run resumes from.

    Attributes:
        step: number of steps that are done, which is also the position in the data.
        model: trained weights by name.
        ema: moving averages of the weights by name.
        optimizer: state of the optimizer.
        progress: everything else that changes, JSON: the schedule, the averages' counter, the curve.
        random: states of the random generators.
    """

    step: int
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Any]
    progress: dict[str, Any]
    random: dict[str, Any]


class StateFolder:
    """The states of one run, each in a folder `step-NNNNNNNN/`.

    Args:
        path: folder of the states.
        settings: values that the states depend on, JSON; states of other settings are refused.
        keep_last: number of most recent states that are kept.
        keep_every: interval of the steps whose states are kept permanently; 0 keeps none.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, keep_last: int, keep_every: int) -> None:
        self.path = path
        # As it will be read from a state.
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))
        self._keep_last, self._keep_every = keep_last, keep_every

    def save(self, state: State) -> None:
        """Write a state, then remove those that are not kept."""
        self._remove_partial()
        with atomic_path(self._folder(state.step)) as temporary:
            temporary.mkdir()
            save_file(state.model, temporary / "model.safetensors")
            save_file(state.ema, temporary / "ema.safetensors")
            torch.save({"optimizer": state.optimizer, "random": state.random}, temporary / "optimizer.pt")
            write_json(temporary / "progress.json", state.progress)
            checksums = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
            write_json(temporary / "manifest.json", {"settings": self._settings, "sha256": checksums})
        self._remove(self._steps()[: -self._keep_last])

    def newest(self) -> State | None:
        """The newest undamaged state, or None; a damaged one is reported and the one before it taken.

        Raises:
            InputError: the states are of a run with other settings.
        """
        for step in reversed(self._steps()):
            folder = self._folder(step)
            try:
                manifest = json.loads((folder / "manifest.json").read_text())
                checksums = manifest["sha256"].items()
                damaged = [name for name, checksum in checksums if sha256(folder / name) != checksum]
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
        """Remove the states that are not kept permanently."""
        self._remove_partial()
        self._remove(self._steps())
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def _remove(self, steps: list[int]) -> None:
        for step in steps:
            if not (self._keep_every and step % self._keep_every == 0):
                shutil.rmtree(self._folder(step))

    def _remove_partial(self) -> None:
        """Remove what a process that was killed while it saved has left."""
        for path in self.path.glob(".*.partial"):
            shutil.rmtree(path)

    def _require_same(self, settings: dict[str, Any]) -> None:
        names = sorted(settings | self._settings)
        changed = [name for name in names if settings.get(name) != self._settings.get(name)]
        if changed:
            raise InputError(
                f"{self.path}: its states are of a run with another {', '.join(changed)}; set it back to "
                "resume that run, or remove the folder to begin anew"
            )

    def _folder(self, step: int) -> Path:
        return self.path / f"step-{step:08d}"

    def _steps(self) -> list[int]:
        paths = self.path.iterdir() if self.path.is_dir() else ()
        return sorted(int(match[1]) for path in paths if (match := _NAME.fullmatch(path.name)))


def _read(folder: Path, step: int) -> State:
    tensors = torch.load(folder / "optimizer.pt", weights_only=True, map_location="cpu")
    return State(
        step=step,
        model=load_file(folder / "model.safetensors"),
        ema=load_file(folder / "ema.safetensors"),
        optimizer=tensors["optimizer"],
        progress=json.loads((folder / "progress.json").read_text()),
        random=tensors["random"],
    )
