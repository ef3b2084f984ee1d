from pathlib import Path

import pandas as pd

from vividface.config import LatentStageConfig, ModelConfig, VariantConfig
from vividface.logs import rule_log
from vividface.training.run import train_latent_stage

with rule_log(snakemake.log[0]):
    train_latent_stage(
        ModelConfig(**snakemake.params.model),
        LatentStageConfig(**snakemake.params.stage),
        VariantConfig(**snakemake.params.variant),
        [Path(path) for path in snakemake.input.latents],
        pd.read_parquet(snakemake.input.selected),
        snakemake.params.seed,
        Path(snakemake.output.checkpoint),
        Path(snakemake.output.curve),
    )
