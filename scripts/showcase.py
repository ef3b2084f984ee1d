"""A whole video of a benchmark: its face crop, and that crop degraded, with sound."""

from pathlib import Path

import pandas as pd

from vividface.data.showcase import write_showcase
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    write_showcase(
        pd.read_parquet(snakemake.input.videos),
        rule.config,
        hq=Path(snakemake.output.hq),
        lq=Path(snakemake.output.lq),
        device=rule.device(needs_gpu=rule.config.faces.backend == "facexlib"),
    )
