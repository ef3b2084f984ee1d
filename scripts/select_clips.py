from vividface.config.filtering import SelectionConfig
from vividface.data.clips import kept_clips
from vividface.files import atomic_path
from vividface.filtering.rubric import load_rubric
from vividface.filtering.selection import decide, gather_scores, selected_clips
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    config = SelectionConfig(**snakemake.params.selection)
    rubric = load_rubric(config.rubric)
    decisions = decide(
        gather_scores(snakemake.input.scores), kept_clips(snakemake.input.clips), config, rubric
    )
    with atomic_path(snakemake.output.decisions) as temporary:
        decisions.to_parquet(temporary)
    selected = selected_clips(decisions, config, rubric)
    with atomic_path(snakemake.output.selected) as temporary:
        selected.to_parquet(temporary)
