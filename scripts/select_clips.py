import pandas as pd

from vividface.files import atomic_path
from vividface.filtering.select import select_clips
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    scores = pd.concat([pd.read_parquet(path) for path in snakemake.input.scores], ignore_index=True)
    with atomic_path(snakemake.output.selected) as temporary:
        select_clips(scores, snakemake.params.threshold).to_parquet(temporary)
