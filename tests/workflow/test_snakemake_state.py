"""What Snakemake knows of its outputs, collected beside them and given back."""

import base64
import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from vividface.workflow.snakemake_state import (
    apply_records,
    collect_records,
    file_times,
    output_of,
    reset_times,
)

SECOND = 10**9


def name_of(output):
    name = base64.urlsafe_b64encode(output.encode()).decode()
    parts = [name[start : start + 254] for start in range(0, len(name), 254)]
    return "/".join([*(f"@{part}" for part in parts[:-1]), parts[-1]])


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A table, a folder and a long-named table, with Snakemake's records of them."""
    monkeypatch.chdir(tmp_path)
    long = f"data/{'x' * 250}/plan.parquet"
    for output, rule in {
        "data/clips.parquet": "gather_clips",
        "hq/0000": "degrade",
        long: "plan_clips",
    }.items():
        path = Path(output)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if rule == "degrade" else path.write_text(rule)
        record = Path(".snakemake/metadata") / name_of(output)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"rule": rule, "params": ["1"]}))
        script = Path(f"scripts/{rule}.py")
        script.parent.mkdir(exist_ok=True)
        script.write_text("pass")
        os.utime(script, ns=(SECOND, SECOND))
    return tmp_path, long


def times(*outputs):
    files = [Path(o) / ".snakemake_timestamp" if Path(o).is_dir() else Path(o) for o in outputs]
    return [file.stat().st_mtime_ns for file in files]


def forget():
    for path in sorted(Path(".snakemake").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_records_and_times_come_back(made):
    _, long = made
    before = {p: p.read_text() for p in Path(".snakemake").rglob("*") if p.is_file()}
    assert {output_of(p.relative_to(".snakemake/metadata").as_posix()) for p in before} == {
        "data/clips.parquet",
        "hq/0000",
        long,
    }
    collect_records()
    forget()
    os.utime(long, ns=(2 * SECOND, 2 * SECOND))
    apply_records([], lambda files: nullcontext())
    assert {p: json.loads(p.read_text()) for p in before} == {p: json.loads(t) for p, t in before.items()}
    assert len(set(times("data/clips.parquet", "hq/0000", long))) == 1
    assert times(long)[0] > 2 * SECOND


def test_what_was_made_from_other_files_or_code_stays_older(made):
    _, long = made
    collect_records()
    Path("scripts/plan_clips.py").write_text("other")
    apply_records(["degraded"], lambda files: nullcontext())
    fresh, stale, changed = times("data/clips.parquet", "hq/0000", long)
    assert stale < fresh
    assert changed < Path("scripts/plan_clips.py").stat().st_mtime_ns


def test_a_record_of_what_is_gone_is_not_kept(made):
    Path("data/clips.parquet").unlink()
    collect_records()
    kept = json.loads(Path("provenance/data/snakemake.json").read_text())
    assert [output_of(name) for name in kept["records"]] == [made[1]]


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_files_that_became_one_keep_their_times(tmp_path, link):
    cache = tmp_path / "cache"
    cache.write_text("same")
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    for path in (first, second):
        link(cache, path)
    other.write_text("other")
    wanted = {first: 5 * SECOND, second: 7 * SECOND, other: 6 * SECOND}
    reset_times(wanted, lambda files: nullcontext())
    assert {path: path.stat().st_mtime_ns for path in wanted} == wanted
    assert {path: path.lstat().st_mtime_ns for path in wanted} == wanted
    assert (first.read_text(), second.read_text()) == ("same", "same")
    assert first.samefile(cache)
    assert not second.samefile(cache)


def test_times_are_of_files_alone(made):
    collect_records()
    assert set(file_times()) == {Path("data/clips.parquet"), Path(made[1])}
