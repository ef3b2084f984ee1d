from pathlib import Path

from vividface.config.filtering import FilterConfig
from vividface.data.clips import kept_clips
from vividface.devices import choose_device
from vividface.files import atomic_path
from vividface.filtering.scoring import score_shard
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    scores = score_shard(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        Path(snakemake.input.hq),
        Path(snakemake.input.masks),
        Path(snakemake.input.faces),
        FilterConfig(**snakemake.params.judging),
        Path(snakemake.params.journal),
        choose_device(snakemake.params.device, snakemake.resources.gpu),
    )
    with atomic_path(snakemake.output.scores) as temporary:
        scores.to_parquet(temporary)
