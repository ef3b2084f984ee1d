"""The face masks of a shard's clips, M_p of section 3.2."""

from pathlib import Path

from vividface.data.clips import kept_clips
from vividface.faces.masks import write_masks
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    write_masks(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        rule.config.faces,
        hq_dir=Path(snakemake.input.hq),
        faces_file=Path(snakemake.input.faces),
        mask_dir=Path(snakemake.output.masks),
        device=rule.device(needs_gpu=rule.config.faces.backend == "facexlib"),
        threads=snakemake.threads,
    )
