"""A benchmark's clips, restored with a published method; or the reason why not."""

from pathlib import Path

from vividface.data.clips import locate_clips
from vividface.evaluation.methods.benchmark import restore_benchmark
from vividface.evaluation.methods.catalogue import configured_method
from vividface.evaluation.methods.installation import Installation
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    name = snakemake.wildcards.method
    restore_benchmark(
        Installation.of(name, configured_method(name, rule.config.evaluation.methods[name])),
        Path(snakemake.input.fetched),
        clips=locate_clips([snakemake.input.clips], hq=snakemake.input.hq, lq=snakemake.input.lq),
        faces_config=rule.config.faces,
        output=Path(snakemake.output.restored),
    )
