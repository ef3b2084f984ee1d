"""The training videos that are in a benchmark."""

import pandas as pd

from vividface.data.shared import find_shared
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake):
    training, benchmarks = (
        dict(zip(names, map(pd.read_parquet, paths), strict=True))
        for names, paths in (
            (snakemake.params.training, snakemake.input.training),
            (snakemake.params.benchmarks, snakemake.input.benchmarks),
        )
    )
    write_table(snakemake.output.table, find_shared(training, benchmarks))
