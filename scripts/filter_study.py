from pathlib import Path

import pandas as pd

from vividface.config.filtering import SelectionConfig
from vividface.evaluation.filter_study import study, study_report
from vividface.files import atomic_path, write_json
from vividface.filtering.rubric import load_rubric
from vividface.filtering.selection import gather_scores, threshold_of
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    selection = SelectionConfig(**snakemake.params.selection)
    rubric = load_rubric(selection.rubric)
    results = study(
        pd.read_parquet(snakemake.input.decisions),
        gather_scores(snakemake.input.repeated),
        gather_scores(snakemake.input.quality),
        {Path(path).stem: pd.read_parquet(path) for path in snakemake.input.sets},
        rubric,
        threshold_of(selection, rubric),
        Path(snakemake.input.labels[0]) if snakemake.input.labels else None,
    )
    write_json(snakemake.output.figures, results)
    with atomic_path(snakemake.output.report) as temporary:
        temporary.write_text(study_report(results))
