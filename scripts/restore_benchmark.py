"""A benchmark's clips, restored with one method and timed."""

from pathlib import Path

from vividface.data.clips import locate_clips
from vividface.evaluation.methods.run import load_method, restore_clips
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    name, device = snakemake.wildcards.method, rule.device()
    checkpoint = snakemake.input.get("checkpoint")
    method = load_method(
        name, rule.config, checkpoint=Path(checkpoint) if checkpoint else None, device=device
    )
    restore_clips(
        name,
        method,
        clips=locate_clips([snakemake.input.clips], hq=snakemake.input.hq, lq=snakemake.input.lq),
        config=rule.config.restoration,
        output=Path(snakemake.output.restored),
        num_timed_runs=rule.config.evaluation.num_timed_runs,
        device=device,
    )
