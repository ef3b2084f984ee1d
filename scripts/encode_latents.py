"""The latents of a shard's clips, with their masks on the latent grid (Eq. 4-5)."""

from pathlib import Path

from vividface.data.clips import kept_clips
from vividface.data.encoding import encode_shard
from vividface.models.checkpoints import build_autoencoder
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    device = rule.device()
    encode_shard(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        build_autoencoder(rule.config.model).to(device),
        num_frames=rule.config.latent_stage.num_frames,
        hq_dir=Path(snakemake.input.hq),
        lq_dir=Path(snakemake.input.lq),
        mask_dir=Path(snakemake.input.masks),
        output=Path(snakemake.output.latents),
        num_draws=rule.config.degradation.num_draws,
        device=device,
    )
