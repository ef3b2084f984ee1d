"""A benchmark's clips as somebody else restored them."""

from pathlib import Path

from vividface.data.clips import locate_clips
from vividface.evaluation.methods.imported import import_results
from vividface.workflow.rule import run_rule

with run_rule(snakemake):
    import_results(
        snakemake.wildcards.method,
        Path(snakemake.input.folder),
        clips=locate_clips([snakemake.input.clips], hq=snakemake.input.hq),
        output=Path(snakemake.output.restored),
    )
