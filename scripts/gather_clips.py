"""The clips of all shards as one table, unless too many were rejected or a benchmark is trained on."""

from pathlib import Path

import pandas as pd

from vividface.data.clips import gather_clips
from vividface.data.shared import require_untrained
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    require_untrained(
        pd.read_parquet(snakemake.input.shared),
        snakemake.wildcards.dataset,
        plans={Path(path).parent.name: pd.read_parquet(path) for path in snakemake.input.training},
    )
    tables = [pd.read_parquet(path) for path in snakemake.input.tables]
    clips = gather_clips(tables, max_rejected_share=rule.config.clips.max_rejected_share)
    write_table(snakemake.output.table, clips)
