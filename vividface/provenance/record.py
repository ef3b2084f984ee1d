"""What a job writes down about itself: its inputs and outputs with their checksums, parameters and code."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from vividface.config import validate_config
from vividface.files import write_json
from vividface.logs import rule_log
from vividface.milestones import milestone_of
from vividface.provenance.hashes import FOLDER_RECORD, RECORDS, fingerprint

_PACKAGE = Path(__file__).resolve().parents[1]
# What decides what a job computes, besides its parameters: a change to another file makes no tree dirty.
_CODE = ("Snakefile", "rules", "scripts", "vividface", "requirements.lock")


class Job:
    """A running job's further inputs and outputs: those that Snakemake does not know."""

    def __init__(self) -> None:
        self.inputs: dict[str, str] = {}
        self.outputs: list[str] = []

    def uses(self, paths: Iterable[str], checksums: Iterable[str]) -> None:
        """Files that were read, with their SHA-256; those without one are not there."""
        self.inputs |= {path: sum_ for path, sum_ in zip(paths, checksums, strict=True) if sum_}

    def makes(self, path: Path | str) -> None:
        """A file or folder that was written besides the rule's outputs."""
        self.outputs.append(str(path))


@contextmanager
def run_rule(snakemake: Any) -> Iterator[Job]:
    """Run a rule's script: its log as in `rule_log`, and its record when it ends well.

    The record is `provenance/{milestone}/{rule}/{wildcards}.json`; a folder that the job made carries a copy,
    `provenance.json`, that names no other output. They hold nothing of when and where the job ran, so that
    the same job leaves the same bits; but for the checksum of an output that holds times itself.

    Args:
        snakemake: the object that Snakemake gives to a script.
    """
    with rule_log(snakemake.log[0]):
        path = record_path(snakemake.rule, dict(snakemake.wildcards.items()))
        path.unlink(missing_ok=True)
        job = Job()
        yield job
        outputs = [*map(str, snakemake.output), *job.outputs]
        record = {
            "rule": snakemake.rule,
            "wildcards": dict(snakemake.wildcards.items()),
            "params": json.loads(json.dumps(dict(snakemake.params.items()), default=str)),
            "inputs": {str(file): fingerprint(Path(file)).sha256 for file in snakemake.input} | job.inputs,
            "outputs": {file: vars(fingerprint(Path(file))) for file in outputs},
            **origin(snakemake.config),
        }
        for file, held in record["outputs"].items():
            if held["files"] is not None:
                write_json(Path(file) / FOLDER_RECORD, record | {"outputs": {file: held}})
        write_json(path, record)


def record_path(rule: str, wildcards: dict[str, str]) -> Path:
    """Where a job's record lies."""
    name = "-".join(wildcards.values()) or rule
    return RECORDS / milestone_of(rule) / rule / f"{name}.json"


def origin(config: dict[str, Any]) -> dict[str, Any]:
    """What all jobs of a run share.

    Returns:
        `commit` and `dirty` (whether the code differs from it), null outside a git repository; `config`, the
        SHA-256 of the validated configuration; `versions` of Python and of the packages that are required.
    """
    values = validate_config(config).model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    commit = _git("rev-parse", "HEAD") if _git("ls-files", str(_PACKAGE / "__init__.py")) else None
    changes = _git("status", "--porcelain", "--", *_CODE) if commit else None
    return {
        "commit": commit,
        "dirty": None if changes is None else bool(changes),
        "config": digest,
        "versions": _versions(),
    }


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(_PACKAGE.parent), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for requirement in metadata.requires("vividface") or []:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if "extra ==" not in requirement:
            found[name] = metadata.version(name)
    return found
