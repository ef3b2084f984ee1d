"""Tables 1-7 as Markdown, CSV and LaTeX, and their means as JSON."""

from pathlib import Path

from vividface.evaluation.tables import build_tables, read_results, write_summary, write_tables
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    metrics, runs = read_results(snakemake.input.metrics, snakemake.input.restored)
    write_tables(build_tables(metrics, runs, rule.config), Path(snakemake.output.tables[0]).parent)
    write_summary(metrics, Path(snakemake.output.summary))
