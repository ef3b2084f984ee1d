"""No-reference metrics of a shard's training clips, which the filter's study ranks them by."""

from pathlib import Path

from vividface.data.clips import kept_clips
from vividface.evaluation.footage import Footage
from vividface.evaluation.measure import Measuring, RestoredClip, measure_clips
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    clips = kept_clips([snakemake.input.clips], snakemake.wildcards.shard)["clip_id"]
    quality = measure_clips(
        [
            RestoredClip(clip_id=clip, results={"hq": Footage(Path(snakemake.input.hq) / f"{clip}.mkv")})
            for clip in clips
        ],
        Measuring(
            metrics=rule.config.filter.study.metrics,
            faces_config=rule.config.faces,
            device=rule.device(),
            num_processes=snakemake.threads,
        ),
    )
    write_table(snakemake.output.quality, quality)
