from pathlib import Path

from vividface.config import FacesConfig
from vividface.data.clips import locate_clips
from vividface.devices import choose_device
from vividface.evaluation.measure import measure_clips
from vividface.files import atomic_path
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    clips = locate_clips(snakemake.input.clips, hq=snakemake.input.hq)
    restored = Path(snakemake.input.restored)
    faces = snakemake.input.get("faces")
    metrics = measure_clips(
        {clip: restored / f"{clip}.mkv" for clip in clips["clip_id"]},
        dict(zip(clips["clip_id"], clips["hq"], strict=True)) if faces else None,
        snakemake.params.metrics,
        FacesConfig(**snakemake.params.faces),
        snakemake.params.identity,
        reference_faces=Path(faces) if faces else None,
        device=choose_device(snakemake.params.device, snakemake.resources.gpu),
    )
    metrics = metrics.assign(dataset=snakemake.wildcards.dataset, method=snakemake.wildcards.method)
    with atomic_path(snakemake.output.metrics) as temporary:
        metrics.to_parquet(temporary)
