"""A benchmark's clips, restored with a published method; or the reason why not."""

from pathlib import Path

from vividface.data.clips import locate_clips
from vividface.evaluation.methods.benchmark import restore_benchmark
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    restore_benchmark(
        snakemake.wildcards.method,
        Path(snakemake.input.fetched),
        clips=locate_clips([snakemake.input.clips], hq=snakemake.input.hq, lq=snakemake.input.lq),
        faces_config=rule.config.faces,
        output=Path(snakemake.output.restored),
    )
