"""A variant's pixel stage (Eq. 8)."""

from vividface.training.job import PixelStageJob
from vividface.training.launcher import launch
from vividface.workflow.resources import processes
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    stage = rule.config.pixel_stage
    variant = rule.config.variants[snakemake.wildcards.variant]
    launch(
        PixelStageJob(
            stage=stage,
            p=variant.pixel_p,
            clips=snakemake.input.clips,
            selected=snakemake.input.selected if variant.selected_set else None,
            candidates=snakemake.params.candidates,
            seed=rule.config.seed,
            start=snakemake.input.start,
            hq=snakemake.input.hq,
            lq=snakemake.input.lq,
            masks=snakemake.input.masks,
            num_draws=rule.config.degradation.num_draws,
            output=snakemake.output.checkpoint,
            curve=snakemake.output.curve,
            validation=snakemake.output.validation,
            folder=snakemake.params.folder,
            log=snakemake.log[0],
            device=rule.device(),
            threads=snakemake.threads,
            **processes(snakemake.resources, batch_size=stage.batch_size),
        )
    )
