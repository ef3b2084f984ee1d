"""Publishing what the last run made, and restoring what was published."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividface.errors import InputError
from vividface.milestones import MILESTONES
from vividface.provenance.hashes import RECORDS
from vividface.versions.bookkeeping import Keeping, collect, file_times, give_back, keep_times
from vividface.versions.pipeline import settings, write_pipeline

if TYPE_CHECKING:
    from dvc.repo import Repo

_LOCK = Path("dvc.lock")
_SHOWN = 3


def publish(remote: str | None = None, push: bool = True) -> dict[str, dict[str, int]]:
    """Commit to DVC, and push, every milestone that is up to date.

    Args:
        remote: name of DVC's remote; the default one otherwise.
        push: to the remote.

    Returns:
        the milestones that were left out, with the rules that Snakemake would run for them.

    Raises:
        InputError: no milestone is up to date; or the remote does not take everything.
    """
    overlays, profile = settings()
    write_pipeline(overlays, profile)
    planned = planned_jobs(overlays)
    left = {name: {r: planned[r] for r in rules if r in planned} for name, rules in MILESTONES.items()}
    left = {name: rules for name, rules in left.items() if rules}
    complete = [name for name in MILESTONES if name not in left]
    collect()
    unrecorded = [name for name in complete if not (RECORDS / name / "snakemake.json").is_file()]
    if not complete or unrecorded:
        what = "no milestone is up to date" if not complete else f"{unrecorded[0]} has no records"
        raise InputError(f"nothing is published: {what}; run Snakemake first")
    with _repository() as repo:
        times = file_times()
        try:
            for name in complete:
                repo.commit(target=name, force=True)
        finally:
            keep_times(times, _state_keeper(repo))
        if push:
            with _explained(repo, remote, "push", complete):
                repo.push(targets=complete, remote=remote)
                _complete_remote(repo, remote, complete)
    return left


def restore(targets: Sequence[str] = (), remote: str | None = None, pull: bool = True) -> dict[str, int]:
    """Pull what dvc.lock names, and make Snakemake agree with it.

    Args:
        targets: outputs or milestones to pull alone; Snakemake's records are then left as they are.
        remote: name of DVC's remote; the default one otherwise.
        pull: from the remote; otherwise everything is here already.

    Returns:
        the rules that Snakemake would run even so, with their numbers of jobs.

    Raises:
        InputError: nothing was published; or the remote lacks some of it.
    """
    overlays, _ = settings()
    with _repository() as repo:
        known = [stage.name for stage in repo.index.stages if stage.name in MILESTONES and _is_locked(stage)]
        if not known:
            raise InputError(
                f"{_LOCK}: holds no milestone, so nothing was published at this commit; `git checkout` one "
                "at which something was, or `make publish` a finished run"
            )
        if pull:
            wanted = list(targets) or known
            with _explained(repo, remote, "pull", wanted):
                repo.pull(targets=wanted, remote=remote, force=True)
        if targets:
            return {}
        give_back(_stale(repo, known), _state_keeper(repo))
    return planned_jobs(overlays)


def planned_jobs(overlays: Sequence[Path]) -> dict[str, int]:
    """The rules that Snakemake would run for everything, with their numbers of jobs.

    Raises:
        InputError: Snakemake cannot say, e.g. because it is running.
    """
    files = ["--configfile", *map(str, overlays)] if overlays else []
    command = [sys.executable, "-m", "snakemake", *files, "--cores", "1", "--dry-run", "--quiet", "rules"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    text = result.stdout + result.stderr
    if result.returncode:
        raise InputError(f"`snakemake --dry-run` fails: {text.strip().splitlines()[-1]}")
    counts = {}
    for line in text.partition("Job stats:")[2].splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit() and words[0] not in ("total", "all"):
            counts[words[0]] = int(words[1])
    return counts


def _is_locked(stage: Any) -> bool:
    return all(out.hash_info for out in stage.outs)


def _stale(repo: Repo, milestones: list[str]) -> set[str]:
    """Milestones that dvc.lock has from other data than that which it has beside them.

    What changed parameters and scripts mean, Snakemake knows for each rule.
    """
    from dvc.dependency import ParamsDependency

    stale = set()
    for stage in repo.index.stages:
        files = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
        data = [dep for dep in files if not dep.def_path.startswith("scripts/")]
        if stage.name in milestones and any(dep.changed_checksum() for dep in data):
            stale.add(stage.name)
    return stale


@contextmanager
def _repository() -> Iterator[Repo]:
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo, lock_repo

    # Its own lines, with tracebacks, would hide the one that says what to do.
    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with Repo() as repo, lock_repo(repo):
            yield repo
    except NotDvcRepoError:
        raise InputError(f"{Path.cwd()}: is not a clone of the project's repository; go to one") from None
    except DvcException as error:
        raise InputError(f"dvc: {str(error).strip().splitlines()[0]}") from None


@contextmanager
def _explained(repo: Repo, remote: str | None, action: str, targets: Sequence[str]) -> Iterator[None]:
    """Turn what goes wrong at a remote into one sentence."""
    try:
        yield
    except Exception as error:
        # Each kind of remote raises its own client's errors.
        name = remote or repo.config["core"].get("remote") or "(none is configured)"
        url = repo.config["remote"].get(name, {}).get("url", "nowhere")
        reason = " ".join(str(error).split()) or type(error).__name__
        missing = _missing(repo, targets) if action == "pull" else []
        if missing:
            shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
            raise InputError(
                f"remote {name} ({url}): lacks {len(missing)} of the published files, or has them damaged "
                f"({shown}); `make publish` again where they were made, or choose another remote"
            ) from None
        raise InputError(f"remote {name} ({url}): cannot {action}: {reason}") from None


def _complete_remote(repo: Repo, remote: str | None, targets: Sequence[str]) -> None:
    """Push what a remote lacks of folders whose lists of files it has: DVC takes those to be whole."""
    wanted = sorted({oid for oid in _objects(repo, targets).values() if oid})
    store, cache = repo.cloud.get_remote_odb(remote, "push"), repo.cache.local
    lacking = sorted(set(wanted) - set(store.oids_exist(wanted)))
    if lacking:
        store.add([cache.oid_to_path(oid) for oid in lacking], cache.fs, lacking)


def _missing(repo: Repo, targets: Sequence[str]) -> list[str]:
    """What was asked for and is not in the cache after a pull; a folder whose list of files is not there."""
    cache = repo.cache.local
    try:
        objects = _objects(repo, targets)
    except Exception:
        # There is no such target: the first error says so.
        return []
    return sorted(path for path, oid in objects.items() if oid is None or not cache.exists(oid))


def _objects(repo: Repo, targets: Sequence[str]) -> dict[str, str | None]:
    """The names in the cache of all files of the targets' outputs, and of the folders' lists of files."""
    from dvc_data.hashfile.tree import Tree

    cache = repo.cache.local
    objects: dict[str, str | None] = {}
    for out in repo.index.targets_view(list(targets)).outs:
        path, held = repo.fs.relpath(out.fs_path), out.hash_info.value if out.hash_info else None
        objects[path] = held
        if held and out.hash_info.isdir and cache.exists(held):
            for key, _, entry in Tree.load(cache, out.hash_info):
                objects["/".join((path, *key))] = entry.value
    return objects


def _state_keeper(repo: Repo) -> Keeping:
    """Within it files may get other times, or be copied, without DVC hashing them anew."""

    @contextmanager
    def keeping(files: Collection[Path]) -> Iterator[None]:
        paths = [str(file.absolute()) for file in files]
        known = {path: repo.state.get(path, repo.fs)[1] for path in paths}
        yield
        repo.state.save_many([(path, held, None) for path, held in known.items() if held], repo.fs)

    return keeping
