"""A rule's record of itself: its inputs and outputs with their checksums, its parameters and its code."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from vividface.config import validate_config
from vividface.files import digest, write_json
from vividface.workflow.checksums import FOLDER_RECORD, RECORDS, checksum
from vividface.workflow.milestones import milestone_of

_PACKAGE = Path(__file__).resolve().parents[1]
# What decides what a job computes, besides its parameters: a change to another file makes no tree dirty.
_CODE = ("Snakefile", "rules", "scripts", "vividface", "requirements.lock")


def write_record(snakemake: Any, inputs: Mapping[str, str], outputs: Sequence[str]) -> None:
    """Write a rule's record, `provenance/{milestone}/{rule}/{wildcards}.json`.

    A folder that the rule made carries a copy, `provenance.json`, that names no other output. Records hold
    nothing of when, where and how the rule ran, so that the same job leaves the same bits; but for the
    checksum of an output that holds times itself.

    Args:
        snakemake: object that Snakemake gives to a script.
        inputs: checksums of the files that were read besides the rule's inputs, by their path.
        outputs: files and folders that were written besides the rule's outputs.
    """
    paths = [*map(str, snakemake.output), *outputs]
    record = {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "params": json.loads(json.dumps(dict(snakemake.params.items()), default=str)),
        "inputs": {str(file): checksum(Path(file)).sha256 for file in snakemake.input} | dict(inputs),
        "outputs": {file: vars(checksum(Path(file))) for file in paths},
        **origin(snakemake.config),
    }
    for file, made in record["outputs"].items():
        if made["files"] is not None:
            write_json(Path(file) / FOLDER_RECORD, record | {"outputs": {file: made}})
    write_json(record_path(snakemake.rule, record["wildcards"]), record)


def record_path(rule: str, wildcards: dict[str, str]) -> Path:
    """Path of a rule's record."""
    name = "-".join(wildcards.values()) or rule
    return RECORDS / milestone_of(rule).name / rule / f"{name}.json"


def origin(config: dict[str, Any]) -> dict[str, Any]:
    """What all jobs of a run share.

    Returns:
        `commit` and `dirty` (whether the code differs from it), null outside a git repository; `config`, the
        digest of the keys that change a result; `versions` of Python and of the packages that are required.
    """
    commit = _git("rev-parse", "HEAD") if _git("ls-files", str(_PACKAGE / "__init__.py")) else None
    changes = _git("status", "--porcelain", "--", *_CODE) if commit else None
    return {
        "commit": commit,
        "dirty": None if changes is None else bool(changes),
        "config": digest(validate_config(config).results()),
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
