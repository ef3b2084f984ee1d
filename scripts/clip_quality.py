"""No-reference metrics of a shard's training clips, which the filter's study ranks them by."""

from pathlib import Path

from vividface.data.clips import kept_clips
from vividface.evaluation.measure import measure_clips
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    clips = kept_clips([snakemake.input.clips], snakemake.wildcards.shard)["clip_id"]
    quality = measure_clips(
        {clip: Path(snakemake.input.hq) / f"{clip}.mkv" for clip in clips},
        None,
        metrics=rule.config.filter.study.metrics,
        faces_config=rule.config.faces,
        device=rule.device(),
    )
    write_table(snakemake.output.quality, quality)
