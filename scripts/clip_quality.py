from pathlib import Path

from vividface.config import FacesConfig
from vividface.data.clips import kept_clips
from vividface.devices import choose_device
from vividface.evaluation.measure import measure_clips
from vividface.files import atomic_path
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    clips = kept_clips([snakemake.input.clips], snakemake.wildcards.shard)["clip_id"]
    quality = measure_clips(
        {clip: Path(snakemake.input.hq) / f"{clip}.mkv" for clip in clips},
        None,
        snakemake.params.metrics,
        FacesConfig(**snakemake.params.faces),
        snakemake.params.identity,
        device=choose_device(snakemake.params.device, snakemake.resources.gpu),
    )
    with atomic_path(snakemake.output.quality) as temporary:
        quality.to_parquet(temporary)
