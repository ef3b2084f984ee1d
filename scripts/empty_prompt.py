from vividface.logs import rule_log
from vividface.models.prompt import embed_prompt, write_prompt

with rule_log(snakemake.log[0]):
    prompt = embed_prompt(snakemake.params.text_encoder, snakemake.params.tokenizer)
    write_prompt(snakemake.output.prompt, prompt)
