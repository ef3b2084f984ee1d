"""Pulling what was published, so that Snakemake takes it for its own."""

from __future__ import annotations

from collections.abc import Sequence

from vividface.errors import InputError
from vividface.workflow.dvc import LOCK, open_repository
from vividface.workflow.dvc_yaml import read_settings
from vividface.workflow.milestones import MILESTONES
from vividface.workflow.snakemake_state import apply_records, planned_jobs


def pull(targets: Sequence[str] = (), *, remote: str | None = None, fetch: bool = True) -> dict[str, int]:
    """Pull what dvc.lock names, and make Snakemake agree with it.

    Args:
        targets: outputs, milestones or folders of weights to pull alone; Snakemake's records then stay.
        remote: name of DVC's remote; None takes the default one.
        fetch: whether to pull from the remote; otherwise everything exists here already.

    Returns:
        the rules that Snakemake would run even so, with their numbers of jobs.

    Raises:
        InputError: nothing was published, or the remote lacks some of it.
    """
    overlays, _ = read_settings()
    with open_repository() as repository:
        published = [name for name in repository.locked_stages() if name in MILESTONES]
        if not published and not targets:
            raise InputError(
                f"{LOCK}: holds no milestone, so nothing was published at this commit; `git checkout` one "
                "at which something was, or `make publish` a finished run"
            )
        if fetch:
            repository.pull(list(targets) or published, remote=remote)
        if targets:
            return {}
        stale = [name for name in repository.stale_stages() if name in published]
        apply_records(stale, repository.times_may_change)
    return planned_jobs(overlays)
