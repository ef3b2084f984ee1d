from pathlib import Path

from vividface.config.filtering import FilterConfig
from vividface.data.clips import kept_clips
from vividface.devices import choose_device
from vividface.evaluation.filter_study import by_hash
from vividface.files import atomic_path
from vividface.filtering.scoring import score_repeatedly
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    config = FilterConfig(**snakemake.params.judging, study=snakemake.params.study)
    every = list(kept_clips(snakemake.input.tables)["clip_id"])
    chosen = by_hash(every, config.study.clips, snakemake.params.seed)
    clips = kept_clips([snakemake.input.clips], snakemake.wildcards.shard)
    scores = score_repeatedly(
        clips[clips["clip_id"].isin(chosen)],
        (Path(snakemake.input.hq), Path(snakemake.input.masks), Path(snakemake.input.faces)),
        config,
        Path(snakemake.params.journal),
        choose_device(snakemake.params.device, snakemake.resources.gpu),
    )
    with atomic_path(snakemake.output.scores) as temporary:
        scores.to_parquet(temporary)
