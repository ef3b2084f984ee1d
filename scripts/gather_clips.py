import pandas as pd

from vividface.config import ClipsConfig
from vividface.data.clips import check_rejections
from vividface.files import atomic_path
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    tables = [pd.read_parquet(path) for path in snakemake.input.tables]
    check_rejections(tables, ClipsConfig(**snakemake.params.clips))
    with atomic_path(snakemake.output.table) as temporary:
        pd.concat(tables, ignore_index=True).sort_values("clip_id").to_parquet(temporary, index=False)
