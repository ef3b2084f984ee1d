from pathlib import Path

from vividface.config.filtering import FilterConfig
from vividface.data.clips import kept_clips
from vividface.files import atomic_path
from vividface.filtering.scoring import score_shard
from vividface.logs import rule_log

with rule_log(snakemake.log[0]):
    scores = score_shard(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        Path(snakemake.input.hq),
        Path(snakemake.input.masks),
        Path(snakemake.input.faces),
        FilterConfig(**snakemake.params.judging),
        Path(snakemake.params.journal),
        snakemake.params.device,
    )
    with atomic_path(snakemake.output.scores) as temporary:
        scores.to_parquet(temporary)
