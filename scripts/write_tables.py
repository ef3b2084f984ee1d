import json
from pathlib import Path

import pandas as pd

from vividface.config import validate_config
from vividface.evaluation.tables import build_tables, write_summary, write_tables
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    metrics = pd.concat([pd.read_parquet(path) for path in snakemake.input.metrics], ignore_index=True)
    runs = {}
    for folder in map(Path, snakemake.input.restored):
        runs[folder.parent.name, folder.name] = json.loads((folder / "run.json").read_text())
    tables = build_tables(metrics, runs, validate_config(snakemake.params.config))
    write_tables(tables, Path(snakemake.output.tables[0]).parent)
    write_summary(metrics, Path(snakemake.output.summary))
