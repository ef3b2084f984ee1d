from vividface.models.prompt import embed_prompt, write_prompt
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    prompt = embed_prompt(snakemake.params.text_encoder, snakemake.params.tokenizer)
    write_prompt(snakemake.output.prompt, prompt)
