from pathlib import Path

import pandas as pd

from vividface.config import PixelStageConfig, VariantConfig
from vividface.data.clips import kept_clips
from vividface.logs import rule_log
from vividface.training.run import train_pixel_stage

with rule_log(snakemake.log[0]):
    train_pixel_stage(
        Path(snakemake.input.start),
        PixelStageConfig(**snakemake.params.stage),
        VariantConfig(**snakemake.params.variant),
        kept_clips(snakemake.input.clips),
        pd.read_parquet(snakemake.input.selected),
        Path("data"),
        snakemake.params.seed,
        Path(snakemake.output.checkpoint),
        Path(snakemake.output.curve),
    )
