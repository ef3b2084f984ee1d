"""Every metric of a method's restored clips."""

from pathlib import Path

from vividface.data.clips import locate_clips
from vividface.evaluation.measure import measure_clips
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    clips = locate_clips([snakemake.input.clips], hq=snakemake.input.hq)
    restored, faces = Path(snakemake.input.restored), snakemake.input.get("faces")
    metrics = measure_clips(
        {clip: restored / f"{clip}.mkv" for clip in clips["clip_id"]},
        dict(zip(clips["clip_id"], clips["hq"], strict=True)) if faces else None,
        metrics=rule.config.evaluation.metrics,
        faces_config=rule.config.faces,
        reference_faces=Path(faces) if faces else None,
        device=rule.device(),
    )
    metrics = metrics.assign(dataset=snakemake.wildcards.dataset, method=snakemake.wildcards.method)
    write_table(snakemake.output.metrics, metrics)
