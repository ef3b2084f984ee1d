from pathlib import Path

from vividface.config import FacesConfig
from vividface.data.clips import kept_clips
from vividface.evaluation.measure import measure_clips
from vividface.files import atomic_path
from vividface.logs import rule_log

with rule_log(snakemake.log[0]):
    clips = kept_clips([snakemake.input.clips], snakemake.wildcards.shard)["clip_id"]
    quality = measure_clips(
        {clip: Path(snakemake.input.hq) / f"{clip}.mkv" for clip in clips},
        None,
        snakemake.params.metrics,
        FacesConfig(**snakemake.params.faces),
        snakemake.params.identity,
        device=snakemake.params.device,
    )
    with atomic_path(snakemake.output.quality) as temporary:
        quality.to_parquet(temporary)
