"""A benchmark's degraded videos, where it is published with them, and the table of them."""

from pathlib import Path

import pandas as pd

from vividface.data.pairs import fetch_lq
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    name, table = snakemake.wildcards.dataset, Path(snakemake.output.table)
    lq_videos = fetch_lq(
        name,
        rule.config.datasets[name].lq_source,
        videos=pd.read_parquet(snakemake.input.videos),
        directory=table.parent / "lq_source",
    )
    write_table(table, lq_videos)
    rule.uses(lq_videos["path"], lq_videos["sha256"])
