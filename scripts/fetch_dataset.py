from pathlib import Path

from vividface.config.datasets import DatasetConfig
from vividface.data.sources import fetch_dataset
from vividface.files import atomic_path
from vividface.provenance.record import run_rule

with run_rule(snakemake) as job:
    dataset = DatasetConfig(**snakemake.params.dataset)
    table = Path(snakemake.output.table)
    videos = fetch_dataset(snakemake.wildcards.dataset, dataset, table.parent, snakemake.params.seed)
    with atomic_path(table) as temporary:
        videos.to_parquet(temporary)
    job.uses(videos["path"], videos["sha256"])
