from pathlib import Path

from vividface.config import DegradationConfig
from vividface.data.clips import kept_clips
from vividface.data.degradation import degrade_shard
from vividface.files import atomic_path
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    parameters = degrade_shard(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        Path(snakemake.input.hq),
        Path(snakemake.output.lq),
        DegradationConfig(**snakemake.params.degradation),
        snakemake.params.seed,
        snakemake.threads,
    )
    with atomic_path(snakemake.output.table) as temporary:
        parameters.to_parquet(temporary)
