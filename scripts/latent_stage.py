"""A variant's latent stage (Eq. 7)."""

from vividface.training.job import LatentStageJob
from vividface.training.launcher import launch
from vividface.workflow.resources import processes
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    stage = rule.config.latent_stage
    variant = rule.config.variants[snakemake.wildcards.variant]
    launch(
        LatentStageJob(
            stage=stage,
            p=variant.latent_p,
            clips=snakemake.input.clips,
            selected=snakemake.input.selected if variant.selected_set else None,
            candidates=snakemake.params.candidates,
            seed=rule.config.seed,
            model=rule.config.model,
            latents=snakemake.input.latents,
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
