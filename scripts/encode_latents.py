from pathlib import Path

from vividface.config import ModelConfig
from vividface.data.clips import kept_clips
from vividface.data.latents import encode_shard
from vividface.devices import choose_device
from vividface.models.presets import build_autoencoder
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    device = choose_device(snakemake.params.device, snakemake.resources.gpu)
    encode_shard(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        Path(snakemake.input.hq),
        Path(snakemake.input.lq),
        Path(snakemake.input.masks),
        build_autoencoder(ModelConfig(**snakemake.params.model)).to(device),
        snakemake.params.frames,
        Path(snakemake.output.latents),
        device,
    )
