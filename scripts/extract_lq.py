"""A shard's degraded clips, of a benchmark that is published with its degraded videos."""

from pathlib import Path

import pandas as pd

from vividface.data.clips import kept_clips
from vividface.data.pairs import extract_lq
from vividface.workflow.rule import run_rule

with run_rule(snakemake):
    extract_lq(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        pd.read_parquet(snakemake.input.lq_videos),
        lq_dir=Path(snakemake.output.lq),
        threads=snakemake.threads,
    )
