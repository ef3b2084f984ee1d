from pathlib import Path

import pandas as pd

from vividface.config.filtering import SelectionConfig
from vividface.evaluation.filtering_page import write_filtering_page
from vividface.filtering.rubric import load_rubric
from vividface.filtering.selection import gather_scores
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    selection = SelectionConfig(**snakemake.params.selection)
    write_filtering_page(
        gather_scores(snakemake.input.scores),
        pd.read_parquet(snakemake.input.decisions),
        {(Path(p).parts[-3], Path(p).name): Path(p) for p in snakemake.input.hq},
        selection,
        load_rubric(selection.rubric),
        Path(snakemake.output.page),
    )
