"""Wan 2.1, from the Hugging Face Hub."""

from vividface.models.pretrained import fetch_pretrained
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    for folder in fetch_pretrained(rule.config.model):
        rule.makes(folder)
