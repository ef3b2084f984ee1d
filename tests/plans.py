"""Snakemake's plan of a configuration, made in this process: hundreds of them take no minute."""

from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    RerunTrigger,
    ResourceSettings,
)

# As profiles/default has them.
TRIGGERS = frozenset({RerunTrigger.CODE, RerunTrigger.INPUT, RerunTrigger.MTIME, RerunTrigger.PARAMS})


def plan_jobs(repository, folder, configfiles, targets, *, forced=(), everything=False):
    """What a dry run of the project's Snakefile plans.

    Args:
        repository: folder of the Snakefile.
        folder: working directory.
        configfiles: files laid over config.yaml.
        targets: rules and outputs that are asked for.
        forced: rules that run again in any case.
        everything: whether all rules do.

    Returns:
        The jobs of Snakemake that would run.
    """
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=configfiles),
            snakefile=repository / "Snakefile",
            workdir=folder,
        ).dag(DAGSettings(targets=set(targets), forcerun=set(forced), rerun_triggers=TRIGGERS))
        workflow = workflow.workflow_api._workflow
        workflow._prepare_dag(forceall=everything, ignore_incomplete=everything, lock_warn_only=True)
        workflow._build_dag()
        return list(workflow.dag.needrun_jobs())
