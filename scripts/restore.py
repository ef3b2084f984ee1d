from pathlib import Path

from vividface.config import ModelConfig, RestorationConfig
from vividface.data.clips import locate_clips
from vividface.devices import choose_device
from vividface.evaluation.restore import load_method, restore_clips
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    name, device = snakemake.wildcards.method, choose_device(snakemake.params.device, snakemake.resources.gpu)
    checkpoint = Path(snakemake.input.checkpoint) if snakemake.input.get("checkpoint") else None
    method = load_method(
        name, ModelConfig(**snakemake.params.model), checkpoint, snakemake.params.seed, device
    )
    restore_clips(
        name,
        method,
        locate_clips(snakemake.input.clips, hq=snakemake.input.hq, lq=snakemake.input.lq),
        RestorationConfig(**snakemake.params.restoration),
        Path(snakemake.output.restored),
        device,
    )
