"""What Snakemake knows of its outputs (parameters, inputs, times), kept beside them and given back to it.

Snakemake runs a job again when its parameters or inputs differ from those recorded in `.snakemake/metadata`,
or when its outputs are older than its inputs or its script. A folder that is cloned and filled from a remote
has neither the records nor the times, so both travel with the outputs.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from vividface.files import atomic_path, sha256, write_json
from vividface.milestones import MILESTONES
from vividface.provenance.hashes import RECORDS

_STATE = Path(".snakemake")
_METADATA = _STATE / "metadata"
# Of a list of files: a context in which their times may change, but not what is known of their content.
Keeping = Callable[[Collection[Path]], AbstractContextManager[None]]
# Snakemake takes this file's time for the time of the folder that it lies in.
_FOLDER_TIME = ".snakemake_timestamp"
_SECOND = 10**9


def collect(code: Path = Path()) -> None:
    """Write each milestone's records of Snakemake to `provenance/{milestone}/snakemake.json`.

    Args:
        code: the folder that holds `scripts/`.
    """
    found: dict[str, dict[str, Any]] = {milestone: {} for milestone in MILESTONES}
    of_rule = {rule: milestone for milestone, rules in MILESTONES.items() for rule in rules}
    for path in sorted(_METADATA.rglob("*")):
        name = path.relative_to(_METADATA).as_posix()
        if not path.is_file() or not Path(output_of(name)).exists():
            continue
        record = json.loads(path.read_text())
        if record.get("rule") in of_rule:
            found[of_rule[record["rule"]]][name] = record
    for milestone, records in found.items():
        rules = sorted({record["rule"] for record in records.values()})
        scripts = {rule: sha256(_script(code, rule)) for rule in rules}
        values = {"records": records, "scripts": scripts}
        if records and values != _kept(milestone):
            write_json(_file(milestone), values)


def output_of(name: str) -> str:
    """The output that a record is of: Snakemake names records by it in Base64, in parts marked by `@`."""
    return base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in name.split("/"))).decode()


def give_back(stale: Collection[str], keeping: Keeping, code: Path = Path()) -> None:
    """Make Snakemake agree with what was restored: its records, and times that say what is up to date.

    All outputs get the same time, which is right for files that share their content too; those of stale
    milestones, or of a script that has changed since, get an older one, so that Snakemake runs them again.

    Args:
        stale: milestones that were made from other files than those that are there.
        keeping: around the change of files' times.
        code: the folder that holds `scripts/`.
    """
    now = time.time_ns()
    (_STATE / "incomplete").mkdir(parents=True, exist_ok=True)
    times: dict[Path, int] = {}
    for milestone in MILESTONES:
        kept = _kept(milestone)
        for name, record in kept.get("records", {}).items():
            output = Path(output_of(name))
            if not output.exists():
                continue
            write_json(_METADATA / name, record)
            script = _script(code, record["rule"])
            old = milestone in stale or sha256(script) != kept["scripts"][record["rule"]]
            times[output] = script.stat().st_mtime_ns - _SECOND if old else now
    with keeping([path for path in times if path.is_file()]):
        for path, moment in times.items():
            _set_time(path, moment)
    # The time of a benchmark counts as that of its job's outputs.
    for path in Path("benchmarks/rules").rglob("*.tsv"):
        os.utime(path, ns=(now, now))


def file_times() -> dict[Path, int]:
    """The times (ns) of all outputs that are files; those of folders are kept in a file that DVC ignores."""
    outputs = {Path(output_of(name)) for m in MILESTONES for name in _kept(m).get("records", {})}
    return {path: path.stat().st_mtime_ns for path in sorted(outputs) if path.is_file()}


def keep_times(times: dict[Path, int], keeping: Keeping) -> None:
    """Give files back the times that they had before DVC put links in their place.

    Files with the same content are links to one; of those with different times, one stays a link and the
    others become copies.
    """
    taken: dict[tuple[int, int], int] = {}
    with keeping(list(times)):
        for path, moment in times.items():
            status = path.stat()
            if taken.setdefault((status.st_dev, status.st_ino), moment) != moment:
                with atomic_path(path) as temporary:
                    shutil.copyfile(path, temporary)
            if path.stat().st_mtime_ns != moment or path.is_symlink():
                _set_time(path, moment)


def _set_time(output: Path, moment: int) -> None:
    if output.is_dir():
        output /= _FOLDER_TIME
        output.touch()
    os.utime(output, ns=(moment, moment))
    if output.is_symlink():
        os.utime(output, ns=(moment, moment), follow_symlinks=False)


def _script(code: Path, rule: str) -> Path:
    return code / "scripts" / f"{rule}.py"


def _file(milestone: str) -> Path:
    return RECORDS / milestone / "snakemake.json"


def _kept(milestone: str) -> dict[str, Any]:
    file = _file(milestone)
    return dict(json.loads(file.read_text())) if file.is_file() else {}
