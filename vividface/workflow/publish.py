"""Publishing what the last run made."""

from __future__ import annotations

from dataclasses import dataclass

from vividface.errors import InputError
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
