"""The selected set MLLM-Face90, and the decision about every clip (section 3.3)."""

from vividface.data.clips import kept_clips
from vividface.files import write_table
from vividface.filtering.rubric import load_rubric
from vividface.filtering.selection import decide, gather_scores, selected_clips
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    config = rule.config.filter
    rubric = load_rubric(config.rubric)
    decisions = decide(
        gather_scores(snakemake.input.scores), kept_clips(snakemake.input.clips), config=config, rubric=rubric
    )
    write_table(snakemake.output.decisions, decisions)
    write_table(snakemake.output.selected, selected_clips(decisions, config, rubric))
