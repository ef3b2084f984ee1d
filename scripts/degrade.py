"""A shard's degraded clips, and the parameters that were drawn for each."""

from pathlib import Path

from vividface.data.clips import kept_clips
from vividface.data.degradation import degrade_shard
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    parameters = degrade_shard(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        rule.config.degradation,
        seed=rule.config.seed,
        hq_dir=Path(snakemake.input.hq),
        lq_dir=Path(snakemake.output.lq),
        num_draws=snakemake.params.num_draws,
        threads=snakemake.threads,
    )
    write_table(snakemake.output.table, parameters)
