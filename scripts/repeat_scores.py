"""Scores of a sample of clips, several of each, to see how much a judge differs from itself."""

from pathlib import Path

from vividface.data.clips import kept_clips
from vividface.evaluation.filter_study import clips_to_repeat
from vividface.files import write_table
from vividface.filtering.scoring import score_repeatedly
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    clips = clips_to_repeat(
        kept_clips(snakemake.input.tables),
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        num_clips=rule.config.filter.study.num_clips,
        seed=rule.config.seed,
    )
    scores = score_repeatedly(
        clips,
        rule.config.filter,
        hq_dir=Path(snakemake.input.hq),
        mask_dir=Path(snakemake.input.masks),
        faces_file=Path(snakemake.input.faces),
        journal=Path(snakemake.params.journal),
        device=rule.device(needs_gpu=rule.config.filter.judge == "qwen2.5-vl"),
    )
    write_table(snakemake.output.scores, scores)
