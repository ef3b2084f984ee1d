"""The page that shows what the judge saw, said and decided."""

from pathlib import Path

import pandas as pd

from vividface.evaluation.filtering_page import write_filtering_page
from vividface.filtering.rubric import load_rubric
from vividface.filtering.selection import gather_scores
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    write_filtering_page(
        gather_scores(snakemake.input.scores),
        pd.read_parquet(snakemake.input.decisions),
        hq_dirs={(Path(p).parts[-3], Path(p).name): Path(p) for p in snakemake.input.hq},
        config=rule.config.filter,
        rubric=load_rubric(rule.config.filter.rubric),
        output=Path(snakemake.output.page),
    )
