"""A published method's code, environment and weights; or what of them is missing."""

from pathlib import Path

from vividface.downloads import LOCKS, Lock
from vividface.evaluation.methods.benchmark import fetch_for_benchmarks
from vividface.evaluation.methods.catalogue import configured_method
from vividface.evaluation.methods.installation import Installation
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    name, prefix = snakemake.wildcards.method, snakemake.input.prefix
    fetch_for_benchmarks(
        Installation.of(name, configured_method(name, rule.config.evaluation.methods[name])),
        Path(snakemake.output.fetched),
        accepted=snakemake.params.accepted,
        lock=Lock(LOCKS / "methods.json"),
        prefix=Path(Path(prefix).read_text().strip()) if prefix else None,
    )
