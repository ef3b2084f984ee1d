"""The study of the filter: how steady the judge is, and whom it agrees with."""

from pathlib import Path

import pandas as pd

from vividface.evaluation.filter_study import study, study_report
from vividface.files import write_json, write_text
from vividface.filtering.rubric import load_rubric
from vividface.filtering.selection import gather_scores, threshold_of
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    rubric = load_rubric(rule.config.filter.rubric)
    results = study(
        pd.read_parquet(snakemake.input.decisions),
        repeated=gather_scores(snakemake.input.repeated),
        quality=gather_scores(snakemake.input.quality),
        sets={Path(path).stem: pd.read_parquet(path) for path in snakemake.input.sets},
        rubric=rubric,
        threshold=threshold_of(rule.config.filter, rubric),
        labels=Path(snakemake.input.labels[0]) if snakemake.input.labels else None,
    )
    write_json(snakemake.output.figures, results)
    write_text(snakemake.output.report, study_report(results))
