"""The enhanced video, and input and result side by side."""

from pathlib import Path

from vividface.config import EnhanceConfig
from vividface.restoration.enhance import enhance_video
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    enhance_video(
        Path(snakemake.input.video),
        Path(snakemake.output.enhanced),
        model=Path(snakemake.input.checkpoint),
        mode="crop",
        config=EnhanceConfig(**dict(rule.config.restoration)),
        compare=Path(snakemake.output.compare),
        device=rule.device(),
        overwrite=True,
    )
