from pathlib import Path

from vividface.config import FacesConfig
from vividface.data.clips import kept_clips
from vividface.devices import choose_device
from vividface.faces.masks import write_masks
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    write_masks(
        kept_clips([snakemake.input.clips], snakemake.wildcards.shard),
        Path(snakemake.input.faces),
        Path(snakemake.input.hq),
        Path(snakemake.output.masks),
        FacesConfig(**snakemake.params.faces),
        choose_device(snakemake.params.device, snakemake.resources.gpu),
        snakemake.threads,
    )
