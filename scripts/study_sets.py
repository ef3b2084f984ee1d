"""Sets as large as the judge's, selected by a metric and at random, for variants with `selected_by`."""

import pandas as pd

from vividface.evaluation.filter_study import study_sets
from vividface.files import write_table
from vividface.filtering.selection import gather_scores
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    sets = study_sets(
        pd.read_parquet(snakemake.input.decisions),
        gather_scores(snakemake.input.quality),
        metrics=rule.config.filter.study.metrics,
        seed=rule.config.seed,
    )
    for name, table in sets.items():
        write_table(snakemake.output[name], table)
