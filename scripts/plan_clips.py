import pandas as pd

from vividface.config import ClipsConfig
from vividface.config.datasets import DatasetConfig
from vividface.data.clips import plan_clips
from vividface.files import atomic_path
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    plan = plan_clips(
        pd.read_parquet(snakemake.input.videos),
        pd.concat([pd.read_parquet(path) for path in snakemake.input.shots], ignore_index=True),
        DatasetConfig(**snakemake.params.dataset),
        ClipsConfig(**snakemake.params.clips),
        snakemake.params.shards,
        snakemake.params.seed,
    )
    with atomic_path(snakemake.output.plan) as temporary:
        plan.to_parquet(temporary)
