"""Publishing what the last run made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vividface.errors import InputError
from vividface.weights.published import PUBLISHED, published_folder
from vividface.workflow.checksums import RECORDS
from vividface.workflow.dvc import DvcRepository, open_repository
from vividface.workflow.dvc_yaml import read_settings, write_dvc_yaml
from vividface.workflow.milestones import MILESTONES, Milestone
from vividface.workflow.snakemake_state import collect_records, file_times, planned_jobs, reset_times


@dataclass(frozen=True)
class Published:
    """What was published.

    Attributes:
        milestones: milestones that were committed.
        outdated: the others, with the rules that Snakemake would run for them and their numbers of jobs.
    """

    milestones: list[str]
    outdated: dict[str, dict[str, int]]


def publish(remote: str | None = None, *, push: bool = True) -> Published:
    """Commit to DVC, and push, every milestone that is up to date.

    Args:
        remote: name of DVC's remote; None takes the default one.
        push: whether to push to the remote.

    Raises:
        InputError: no milestone is up to date, or the remote does not take everything.
    """
    overlays, profile = read_settings()
    write_dvc_yaml(overlays, profile=profile)
    planned = planned_jobs(overlays)
    collect_records()
    outdated = {name: _planned(milestone, planned) for name, milestone in MILESTONES.items()}
    outdated = {name: rules for name, rules in outdated.items() if rules}
    complete = [name for name, milestone in MILESTONES.items() if name not in outdated and milestone.in_use()]
    unrecorded = [name for name in complete if not _recorded(name)]
    if not complete or unrecorded:
        what = "no milestone is up to date" if not complete else f"{unrecorded[0]} has no records"
        raise InputError(f"nothing is published: {what}; run Snakemake first")
    with open_repository() as repository:
        _commit(repository, complete)
        if push:
            repository.push(complete, remote=remote)
    return Published(complete, outdated)


def publish_weights(name: str, remote: str | None = None, *, push: bool = True) -> Path:
    """Commit a folder of weights to DVC, and push it, alone.

    Args:
        name: name of a folder in `weights/`, or of a published model that was fetched into the cache.
        remote: name of DVC's remote; None takes the default one.
        push: whether to push to the remote.

    Returns:
        file that git has to hold.

    Raises:
        InputError: there are no such weights, or the remote does not take everything.
    """
    target = Path("weights") / name
    source = target if target.is_dir() else published_folder(name)
    if Path(name).name != name or not source.is_dir():
        fetch = f"; `vividface weights fetch {name}` brings it" if name in PUBLISHED else ""
        raise InputError(f"{name}: there is no folder {target}, and no such model in the cache{fetch}")
    with open_repository() as repository:
        repository.add(source, target)
    if push:
        # DVC sees what was added when it is opened again.
        with open_repository() as repository:
            repository.push([str(target)], remote=remote)
    return target.with_name(f"{name}.dvc")


def _planned(milestone: Milestone, planned: dict[str, int]) -> dict[str, int]:
    return {rule: planned[rule] for rule in milestone.rules if rule in planned}


def _recorded(milestone: str) -> bool:
    return (RECORDS / milestone / "snakemake.json").is_file()


def _commit(repository: DvcRepository, milestones: list[str]) -> None:
    times = file_times()
    try:
        repository.commit(milestones)
    finally:
        reset_times(times, repository.times_may_change)
