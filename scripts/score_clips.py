from pathlib import Path

from vividface.data.clips import kept_clips
from vividface.files import atomic_path
from vividface.filtering.select import score_shard
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    scores = score_shard(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        Path(snakemake.input.hq),
        Path(snakemake.input.masks),
        Path(snakemake.input.faces),
        snakemake.params.rubric,
    )
    with atomic_path(snakemake.output.scores) as temporary:
        scores.to_parquet(temporary)
