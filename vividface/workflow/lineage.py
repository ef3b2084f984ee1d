"""From a file back to the videos that it was made from, every link verified."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vividface.errors import InputError
from vividface.workflow.checksums import FOLDER_RECORD, RECORDS, Checksum, checksum

Record = dict[str, Any]


@dataclass(frozen=True)
class Link:
    """A file of a lineage.

    Attributes:
        path: path of the file, as in the records.
        depth: distance from the file in question: 0 for itself, 1 for what it was made from, ...
        record: record of the job that made it; None for what came from outside.
        problem: description of what is broken, or empty.
        seen: whether the file stands further up already, with what it was made from.
    """

    path: str
    depth: int
    record: Record | None = None
    problem: str = ""
    seen: bool = False


@dataclass
class _Verifier:
    """The records of a working directory, and which files hold what they say."""

    trust_times: bool
    producers: dict[str, Record] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def producer(self, path: str) -> tuple[str, Record] | None:
        """What a file is, or lies in, that a job made; and the job's record."""
        for part in (Path(path), *Path(path).parents):
            if record := self.producers.get(str(part)) or _folder_record(part):
                return str(part), record
        return None

    def problem(self, output: str, record: Record) -> str:
        """What is wrong with a job's output, hashed once."""
        if output not in self.problems:
            made = record["outputs"][output]
            self.problems[output] = self._compare(
                output, Checksum(made["sha256"], made["files"]), f"since {record['rule']} made it"
            )
        return self.problems[output]

    def source_problem(self, path: str, recorded: str) -> str:
        """What is wrong with a file that no job made."""
        return self._compare(path, Checksum(recorded), "since it was used")

    def _compare(self, path: str, before: Checksum, since: str) -> str:
        try:
            now = checksum(Path(path), trust_times=self.trust_times)
        except FileNotFoundError:
            return f"{path} is missing"
        if now.sha256 == before.sha256:
            return ""
        for name, digest in (before.files or {}).items():
            found = (now.files or {}).get(name)
            if found != digest:
                return f"{path}/{name} has changed {since}" if found else f"{path}/{name} is missing"
        added = sorted(set(now.files or {}) - set(before.files or {}))
        return f"{path}/{added[0]} was added {since}" if added else f"{path} has changed {since}"


def trace(path: Path | str, *, trust_times: bool = True) -> list[Link]:
    """The lineage of a file, depth first: it, and what it was made from; each file once with all below it.

    Args:
        path: path of a file or folder that a job made, or of a file in such a folder.
        trust_times: whether a checksum computed before holds while the file's size and time are the same.

    Raises:
        InputError: there is no record of the file.
    """
    verifier = _Verifier(trust_times, _producers())
    name = str(Path(path))
    if Path(name).is_absolute() and Path(name).is_relative_to(Path.cwd()):
        name = str(Path(name).relative_to(Path.cwd()))
    if verifier.producer(name) is None:
        raise InputError(
            f"{path}: no record in {RECORDS}/ says how it was made; name a file that the workflow made, in "
            "the folder in which it ran"
        )
    return list(_walk(name, verifier, used=None, depth=0, seen=set()))


def _walk(path: str, verifier: _Verifier, *, used: str | None, depth: int, seen: set[str]) -> Iterator[Link]:
    """`used` is the checksum that the file had when the job above read it."""
    produced = verifier.producer(path)
    if produced is None:
        yield Link(path, depth, None, verifier.source_problem(path, used or ""), path in seen)
        seen.add(path)
        return
    output, record = produced
    problem = verifier.problem(output, record)
    recorded = record["outputs"][output]
    within = str(Path(path).relative_to(output))
    made = recorded["sha256"] if output == path else (recorded["files"] or {}).get(within)
    if not problem and made is None and Path(path).name != FOLDER_RECORD:
        problem = f"{path} is not of what {record['rule']} made"
    if not problem and used not in (None, made):
        problem = f"{path} was made again after it was used"
    yield Link(path, depth, record, problem, path in seen)
    if path in seen:
        return
    seen.add(path)
    for file, read in sorted(record["inputs"].items()):
        yield from _walk(file, verifier, used=read, depth=depth + 1, seen=seen)


def _producers() -> dict[str, Record]:
    """The record of the job that made each output."""
    producers: dict[str, Record] = {}
    for path in sorted(RECORDS.glob("*/*/*.json")):
        record = _read(path)
        producers |= dict.fromkeys(record["outputs"], record)
    return producers


def _folder_record(folder: Path) -> Record | None:
    """The copy of its job's record in a folder that came alone."""
    path = folder / FOLDER_RECORD
    record = _read(path) if path.is_file() else None
    return record if record and str(folder) in record["outputs"] else None


def _read(path: Path) -> Record:
    try:
        record = dict(json.loads(path.read_text()))
        if {"rule", "inputs", "outputs", "commit", "config"} <= set(record):
            return record
    except (ValueError, TypeError):
        pass
    raise InputError(f"{path}: is not a record; pull it, or run its rule again")


def describe(links: list[Link]) -> str:
    """The lineage as an indented tree, a line per file."""
    return "\n".join(_line(link) for link in links)


def _line(link: Link) -> str:
    line = f"{'  ' * link.depth}{link.path}"
    if link.problem:
        line += f"  BROKEN: {link.problem}"
    if link.seen:
        return f"{line}  (see above)"
    if link.record is None:
        return f"{line}  <- a source"
    return f"{line}  <- {link.record['rule']}, {_code(link.record)}, config {link.record['config'][:12]}"


def _code(record: Record) -> str:
    if record["commit"] is None:
        return "no commit"
    return f"commit {record['commit'][:12]}{' with changes' if record['dirty'] else ''}"
