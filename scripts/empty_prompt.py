"""The embedding of the empty prompt (section 3.1)."""

from vividface.models.prompt import embed_prompt, write_prompt
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    prompt = embed_prompt(rule.config.model.text_encoder, rule.config.model.tokenizer)
    write_prompt(snakemake.output.prompt, prompt)
