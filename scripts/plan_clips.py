"""The clips to cut out of a dataset's videos."""

import pandas as pd

from vividface.data.planning import plan_clips
from vividface.data.shared import reasons_of
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    config, dataset = rule.config, rule.config.datasets[snakemake.wildcards.dataset]
    plan = plan_clips(
        pd.read_parquet(snakemake.input.videos),
        pd.concat([pd.read_parquet(path) for path in snakemake.input.shots], ignore_index=True),
        num_frames=None if dataset.num_frames == "whole" else dataset.num_frames or config.clips.num_frames,
        num_shards=dataset.num_shards or config.num_shards,
        max_clips=dataset.max_clips,
        seed=getattr(config, "seed", 0),
        refused=reasons_of(pd.read_parquet(snakemake.input.shared), snakemake.wildcards.dataset),
    )
    write_table(snakemake.output.plan, plan)
