"""A published method's code, environment and weights; or what of them is missing."""

from pathlib import Path

from vividface.downloads import LOCKS, Lock
from vividface.evaluation.methods.benchmark import fetch_for_benchmarks
from vividface.workflow.rule import run_rule

with run_rule(snakemake):
    fetch_for_benchmarks(
        snakemake.wildcards.method,
        Path(snakemake.output.fetched),
        accepted=snakemake.params.accepted,
        lock=Lock(LOCKS / "methods.json"),
    )
