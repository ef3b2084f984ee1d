"""A published method's code, environment and weights; or what of them is missing."""

from pathlib import Path

from vividface.downloads import LOCKS, Lock
from vividface.evaluation.methods.benchmark import fetch_for_benchmarks
from vividface.evaluation.methods.catalogue import configured_method
from vividface.evaluation.methods.installation import Installation
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    name = snakemake.wildcards.method
    installation = Installation.of(name, configured_method(name, rule.config.evaluation.methods[name]))
    if snakemake.input.prefix:
        installation.interpreter.take(Path(Path(snakemake.input.prefix).read_text().strip()))
    fetch_for_benchmarks(
        installation,
        Path(snakemake.output.fetched),
        accepted=snakemake.params.accepted,
        lock=Lock(LOCKS / "methods.json"),
    )
