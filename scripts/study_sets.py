import pandas as pd

from vividface.evaluation.filter_study import study_sets
from vividface.files import atomic_path
from vividface.filtering.selection import gather_scores
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    sets = study_sets(
        pd.read_parquet(snakemake.input.decisions),
        gather_scores(snakemake.input.quality),
        snakemake.params.metrics,
        snakemake.params.seed,
    )
    for name, table in sets.items():
        with atomic_path(snakemake.output[name]) as temporary:
            table.to_parquet(temporary)
