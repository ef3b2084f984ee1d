"""What `vividface enhance` tells of its results: sentences, JSON, and the report beside each of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividface import __version__
from vividface.errors import InputError
from vividface.files import write_json

if TYPE_CHECKING:
    from vividface.config import EnhanceConfig
    from vividface.restoration.enhance import EnhanceResult
    from vividface.restoration.folder import Outcome

# Options of the command alone that decide what a result is.
_OF_COMMAND = (
    *("mode", "compare", "fps", "seed", "start", "end", "frames", "deinterlace"),
    *("autoencoder", "faces", "size", "device", "dtype", "tile", "offload", "attention", "compile"),
)


@dataclass(frozen=True, kw_only=True)
class Reports:
    """The reports of one command.

    Attributes:
        is_written: whether there are any.
        replaces: whether existing ones may be replaced.
        model: name or folder of the model; empty until it is known.
        options: options that are not the defaults, for JSON.
    """

    is_written: bool
    replaces: bool
    model: str = ""
    options: dict[str, Any]

    def require_free(self, path: Path) -> None:
        """Raise `InputError` where something is in a report's way.

        Args:
            path: path of the report.
        """
        if self.is_written and (path.is_dir() or (path.exists() and not self.replaces)):
            raise InputError(
                f"{path}: exists already, and the report would lie there; give another name, or add "
                f"{'--no-report' if path.is_dir() else '--overwrite or --no-report'}"
            )

    def write(self, path: Path, source: Path, result: EnhanceResult) -> None:
        """Write the report of a result; where that fails the result stays, and a warning says so.

        Args:
            path: path of the report.
            source: path of the input, as the user gave it.
            result: what was enhanced.
        """
        if not self.is_written:
            return
        about = {"version": __version__, "model": self.model, "options": self.options}
        try:
            write_json(path, about | _lasting(source, result))
        except OSError as error:
            reason = error.strerror or error
            print(f"warning: {path}: the report cannot be written ({reason})", file=sys.stderr)


def reports_of(options: argparse.Namespace, model: str = "", config: EnhanceConfig | None = None) -> Reports:
    """The reports of a command; before the model is loaded no more is known than where they lie.

    Args:
        options: options of the command.
        model: name or folder of the model.
        config: settings of the enhancement.
    """
    given: dict[str, Any] = {} if config is None else config.model_dump(mode="json", exclude_defaults=True)
    for name in _OF_COMMAND:
        value = getattr(options, name)
        if value != options.default_of(name):
            given[name] = _for_json(value)
    replaces = options.overwrite or options.resume
    return Reports(is_written=options.report, replaces=replaces, model=model, options=given)


def _for_json(value: Any) -> Any:
    if isinstance(value, Fraction):
        return float(value)
    return str(value) if isinstance(value, Path) else value


def report_path(output: Path) -> Path:
    """The path of the report of a result: `NAME.json` for `NAME.mp4`, and for a folder `NAME` of images.

    Where that is the report of another result, such as `NAME.mkv`, it is `NAME.mp4.json`.
    """
    path = output.with_name(f"{output.stem}.json")
    return output.with_name(f"{output.name}.json") if _is_of_another(path, output) else path


def _is_of_another(path: Path, output: Path) -> bool:
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    is_report = isinstance(report, dict) and {"version", "output"} <= report.keys()
    return is_report and Path(str(report["output"])).name != output.name


def report_paths(outputs: Iterable[Path]) -> dict[Path, Path]:
    """The paths of the reports of a folder's results; `NAME.mp4.json` where two would have one name."""
    paths = {output: report_path(output) for output in outputs}
    counts = Counter(paths.values())
    return {
        output: path if counts[path] == 1 else output.with_name(f"{output.name}.json")
        for output, path in paths.items()
    }


def values(source: Path, result: EnhanceResult) -> dict[str, Any]:
    """A result as `--json` prints it.

    Args:
        source: path of the input, as the user gave it.
        result: what was enhanced.
    """
    return _lasting(source, result) | {"seconds": result.seconds, "restored": result.num_restored}


def _lasting(source: Path, result: EnhanceResult) -> dict[str, Any]:
    """What is the same whenever, and in how many runs, a result is made."""
    return {
        "input": str(source),
        "output": str(result.output),
        "frames": result.num_frames,
        "faces": result.num_faces,
        "strength": result.strength,
        "people": result.people,
        "left_alone": result.num_left,
        "problem": result.problem,
        "notes": result.notes,
    }


def outcome_values(outcome: Outcome) -> dict[str, Any]:
    """The outcome of one video of a folder as `--json` prints it."""
    if outcome.result is not None:
        return values(outcome.source, outcome.result)
    return {"input": str(outcome.source), "error": outcome.error, "skipped": outcome.skipped}


def sentence(result: EnhanceResult) -> str:
    """A result in a line."""
    rate = result.num_restored / max(result.seconds, 1e-6)
    faces = "" if result.num_faces is None else f", faces in {result.num_faces}"
    time = f"{result.seconds:.1f} s ({rate:.1f} frames/s)"
    return f"{result.output}: {result.num_frames} frames{faces}, in {time}{_left(result.num_left)}"


def _left(num_left: dict[str, int]) -> str:
    from vividface.restoration.enhance import words_for_left

    return f"; left alone: {words_for_left(num_left)}" if num_left else ""


def warn(source: Path, result: EnhanceResult) -> None:
    """Print to standard error what could not be kept, and what could not be read."""
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    if result.problem:
        readable = f"the {result.num_frames} frames that can be read were enhanced"
        print(f"warning: {source}: {result.problem}; {readable}", file=sys.stderr)


def tell(outcome: Outcome) -> None:
    """Print the outcome of one video of a folder to standard error."""
    if outcome.result is not None:
        print(sentence(outcome.result), file=sys.stderr)
        warn(outcome.source, outcome.result)
    elif outcome.error:
        print(f"error: {outcome.error}", file=sys.stderr)
