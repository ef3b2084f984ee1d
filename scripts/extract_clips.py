"""A shard's face crops, the faces in them, and what became of each planned clip."""

from pathlib import Path

import pandas as pd

from vividface.data.extraction import extract_clips
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    plan = pd.read_parquet(snakemake.input.plan)
    clips = extract_clips(
        plan[plan["shard"] == snakemake.wildcards.shard],
        rule.config.clips,
        faces_config=rule.config.faces,
        hq_dir=Path(snakemake.output.hq),
        faces_file=Path(snakemake.output.faces),
        crop=rule.config.datasets[snakemake.wildcards.dataset].crop,
        device=rule.device(needs_gpu=rule.config.faces.backend == "facexlib"),
        threads=snakemake.threads,
    )
    write_table(snakemake.output.table, clips)
