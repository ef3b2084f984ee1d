"""Every metric of a method's restored clips."""

from pathlib import Path

from vividface.data.clips import locate_clips
from vividface.evaluation.measure import measure_clips
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    clips = locate_clips([snakemake.input.clips], hq=snakemake.input.hq).set_index("clip_id")
    restored = Path(snakemake.input.restored)
    true_or_input = {clip: Path(path) for clip, path in clips["hq"].items()}
    has_reference = snakemake.params.has_reference
    metrics = measure_clips(
        {clip: restored / f"{clip}.mkv" for clip in clips.index},
        true_or_input if has_reference else None,
        metrics=rule.config.evaluation.metrics,
        faces_config=rule.config.faces,
        inputs=None if has_reference else true_or_input,
        benchmark_faces=Path(snakemake.input.faces),
        device=rule.device(),
    )
    metrics = metrics.assign(
        dataset=snakemake.wildcards.dataset,
        method=snakemake.wildcards.method,
        video=metrics["clip_id"].map(clips["video_id"]),
    )
    write_table(snakemake.output.metrics, metrics)
