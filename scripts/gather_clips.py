"""The clips of all shards as one table, unless too many were rejected."""

import pandas as pd

from vividface.data.clips import gather_clips
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    tables = [pd.read_parquet(path) for path in snakemake.input.tables]
    clips = gather_clips(tables, max_rejected_share=rule.config.clips.max_rejected_share)
    write_table(snakemake.output.table, clips)
