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
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from vividface.errors import InputError
from vividface.files import atomic_path, sha256, write_json
from vividface.workflow.checksums import RECORDS
from vividface.workflow.milestones import MILESTONES

_STATE = Path(".snakemake")
_METADATA = _STATE / "metadata"
# Snakemake's measurements of each job, whose time counts as that of the job's outputs.
_MEASUREMENTS = Path("logs/benchmarks")
# A context for a list of files: their times may change in it without their content being hashed again.
TimesMayChange = Callable[[Collection[Path]], AbstractContextManager[None]]
# Snakemake takes this file's time for the time of the folder that it lies in.
_FOLDER_TIME = ".snakemake_timestamp"
_SECOND = 10**9


def collect_records(code: Path = Path()) -> None:
    """Write each milestone's records of Snakemake to `provenance/{milestone}/snakemake.json`.

    Args:
        code: folder that holds `scripts/`.
    """
    collected: dict[str, dict[str, Any]] = {name: {} for name in MILESTONES}
    of_rule = {
        rule: milestone.name for milestone in MILESTONES.values() for rule in milestone.versioned_rules
    }
    for path in sorted(_METADATA.rglob("*")):
        name = path.relative_to(_METADATA).as_posix()
        if not path.is_file() or not Path(output_of(name)).exists():
            continue
        record = json.loads(path.read_text())
        if record.get("rule") in of_rule:
            collected[of_rule[record["rule"]]][name] = record
    for milestone, records in collected.items():
        rules = sorted({record["rule"] for record in records.values()})
        scripts = {rule: sha256(_script(code, rule)) for rule in rules}
        values = {"records": records, "scripts": scripts}
        if records and values != _collected(milestone):
            write_json(_file(milestone), values)


def output_of(name: str) -> str:
    """The output that a record is of: Snakemake names records by it in Base64, in parts marked by `@`."""
    return base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in name.split("/"))).decode()


def apply_records(stale: Collection[str], times_may_change: TimesMayChange, *, code: Path = Path()) -> None:
    """Make Snakemake agree with what was pulled: its records, and times that say what is up to date.

    All outputs get the same time, which is right for files that share their content too; those of stale
    milestones, or of a script that has changed since, get an older one, so that Snakemake runs them again.

    Args:
        stale: milestones that were made from other files than the present ones.
        times_may_change: context around the change of files' times.
        code: folder that holds `scripts/`.
    """
    now = time.time_ns()
    (_STATE / "incomplete").mkdir(parents=True, exist_ok=True)
    times: dict[Path, int] = {}
    for milestone in MILESTONES:
        collected = _collected(milestone)
        for name, record in collected.get("records", {}).items():
            output = Path(output_of(name))
            if not output.exists():
                continue
            write_json(_METADATA / name, record)
            script = _script(code, record["rule"])
            old = milestone in stale or sha256(script) != collected["scripts"][record["rule"]]
            times[output] = script.stat().st_mtime_ns - _SECOND if old else now
    with times_may_change([path for path in times if path.is_file()]):
        for path, moment in times.items():
            _set_time(path, moment)
    for path in _MEASUREMENTS.rglob("*.tsv"):
        os.utime(path, ns=(now, now))


def file_times() -> dict[Path, int]:
    """The times (ns) of all outputs that are files; those of folders are kept in a file that DVC ignores."""
    outputs = {Path(output_of(name)) for m in MILESTONES for name in _collected(m).get("records", {})}
    return {path: path.stat().st_mtime_ns for path in sorted(outputs) if path.is_file()}


def reset_times(times: dict[Path, int], times_may_change: TimesMayChange) -> None:
    """Give files back the times that they had before DVC put links in their place.

    Files with the same content are links to one; of those with different times, one stays a link and the
    others become copies.

    Args:
        times: times (ns) by file.
        times_may_change: context around the change.
    """
    taken: dict[tuple[int, int], int] = {}
    with times_may_change(list(times)):
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


def _collected(milestone: str) -> dict[str, Any]:
    file = _file(milestone)
    return dict(json.loads(file.read_text())) if file.is_file() else {}


def planned_jobs(overlays: Sequence[Path]) -> dict[str, int]:
    """The rules that Snakemake would run for all milestones in use, with their numbers of jobs.

    Args:
        overlays: files laid over config.yaml.

    Raises:
        InputError: Snakemake cannot say, e.g. because it is running.
    """
    files = ["--configfile", *map(str, overlays)] if overlays else []
    on_request = [m.target for m in MILESTONES.values() if not m.in_all and m.in_use()]
    command = [sys.executable, "-m", "snakemake", *files, "--cores", "1", "--dry-run", "--quiet", "rules"]
    command += ["--", "all", *on_request]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    text = result.stdout + result.stderr
    if result.returncode:
        raise InputError(f"`snakemake --dry-run` fails: {text.strip().splitlines()[-1]}")
    return job_counts(text)


def job_counts(text: str) -> dict[str, int]:
    """The number of jobs of each rule, from what a dry run prints with `--quiet rules`."""
    counts = {}
    for line in text.partition("Job stats:")[2].splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit() and words[0] not in ("total", "all"):
            counts[words[0]] = int(words[1])
    return counts
