"""How a training's processes tell the launcher why they ended: accelerate reports only that one failed."""

from __future__ import annotations

import json
from pathlib import Path

from vividface.errors import InputError, StoppedError
from vividface.files import write_json


def write_outcome(folder: Path, process: str, error: InputError | StoppedError) -> None:
    """Leave the reason for which a process ends in the job's folder."""
    kind = "stopped" if isinstance(error, StoppedError) else "error"
    write_json(folder / f"outcome-{process}.json", {kind: str(error)})


def clear_outcomes(folder: Path) -> None:
    """Remove what an earlier run left."""
    for path in folder.glob("outcome-*.json"):
        path.unlink()


def raise_outcome(folder: Path) -> None:
    """Raise what a process left: first of all a fault, else that a signal came."""
    outcomes = [json.loads(path.read_text()) for path in sorted(folder.glob("outcome-*.json"))]
    for kind, error in (("error", InputError), ("stopped", StoppedError)):
        for outcome in outcomes:
            if kind in outcome:
                raise error(outcome[kind])
