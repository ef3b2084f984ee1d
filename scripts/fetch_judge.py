"""The judge's model, from the Hugging Face Hub."""

from vividface.filtering.qwen import fetch_model
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    fetch_model(rule.config.filter.qwen)
