"""Pretrained weights of Wan 2.1, and the embedding of the empty prompt (section 3.1). `nano` needs neither."""

if cfg.model.pretrained_parts():

    rule fetch_pretrained:
        output:
            [
                described(part, path)
                for part, path in cfg.model.pretrained_parts().items()
            ],
        log:
            "logs/fetch_pretrained.log",
        benchmark:
            "benchmarks/rules/fetch_pretrained.tsv"
        localrule: True
        conda:
            "../envs/vividface.yaml"
        params:
            model=section(cfg.model),
        script:
            "../scripts/fetch_pretrained.py"


if cfg.model.preset != "nano" and cfg.model.text_encoder is not None:

    rule empty_prompt:
        input:
            described("text_encoder", cfg.model.text_encoder),
            described("tokenizer", cfg.model.tokenizer),
        output:
            prompt=str(cfg.model.prompt_embedding),
        log:
            "logs/empty_prompt.log",
        benchmark:
            "benchmarks/rules/empty_prompt.tsv"
        conda:
            "../envs/vividface.yaml"
        threads: MODEL_THREADS
        params:
            text_encoder=str(cfg.model.text_encoder),
            tokenizer=str(cfg.model.tokenizer),
        script:
            "../scripts/empty_prompt.py"
