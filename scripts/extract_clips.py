from pathlib import Path

import pandas as pd

from vividface.config import ClipsConfig, FacesConfig
from vividface.data.clips import extract_clips
from vividface.devices import choose_device
from vividface.files import atomic_path
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    plan = pd.read_parquet(snakemake.input.plan)
    clips = extract_clips(
        plan[plan["shard"] == snakemake.wildcards.shard],
        ClipsConfig(**snakemake.params.clips),
        FacesConfig(**snakemake.params.faces),
        Path(snakemake.output.hq),
        Path(snakemake.output.faces),
        choose_device(snakemake.params.device, snakemake.resources.gpu),
        snakemake.threads,
    )
    with atomic_path(snakemake.output.table) as temporary:
        clips.to_parquet(temporary)
