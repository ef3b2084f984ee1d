"""The shots of a shard's videos."""

import pandas as pd

from vividface.data.shots import find_shots, videos_of_shard
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    config, dataset = rule.config, rule.config.datasets[snakemake.wildcards.dataset]
    videos = videos_of_shard(
        pd.read_parquet(snakemake.input.videos),
        snakemake.wildcards.shard,
        num_shards=dataset.num_shards or config.num_shards,
    )
    shots = find_shots(videos, config.clips.cut_threshold if dataset.split_shots else None)
    write_table(snakemake.output.shots, shots)
