"""The judge's scores of a shard's clips."""

from pathlib import Path

from vividface.data.clips import kept_clips
from vividface.files import write_table
from vividface.filtering.scoring import score_shard
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    scores = score_shard(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        rule.config.filter,
        hq_dir=Path(snakemake.input.hq),
        mask_dir=Path(snakemake.input.masks),
        faces_file=Path(snakemake.input.faces),
        journal=Path(snakemake.params.journal),
        device=rule.device(needs_gpu=rule.config.filter.judge == "qwen2.5-vl"),
    )
    write_table(snakemake.output.scores, scores)
