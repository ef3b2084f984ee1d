"""Weights of others: small networks, and Wan 2.1 with the empty prompt (section 3.1), which `nano` does not need."""


rule fetch_weights:
    output:
        "data/weights.json",
    log:
        "logs/fetch_weights.log",
    benchmark:
        "logs/benchmarks/fetch_weights.tsv"
    priority: 30
    localrule: True
    conda:
        "../envs/vividface.yaml"
    params:
        **accepted_of_weights(),
        config=cfg.pick("weights"),
    message:
        "Fetching third-party weights"
    script:
        "../scripts/fetch_weights.py"


if cfg.model.pretrained_parts():

    rule fetch_pretrained:
        output:
            [
                model_file(part, path)
                for part, path in cfg.model.pretrained_parts().items()
            ],
        log:
            "logs/fetch_pretrained.log",
        benchmark:
            "logs/benchmarks/fetch_pretrained.tsv"
        localrule: True
        conda:
            "../envs/vividface.yaml"
        params:
            config=cfg.pick(
                "model.preset",
                "model.pretrained",
                "model.transformer",
                "model.autoencoder",
                "model.text_encoder",
                "model.tokenizer",
            ),
        message:
            "Fetching Wan 2.1"
        script:
            "../scripts/fetch_pretrained.py"


if cfg.model.preset != "nano" and cfg.model.text_encoder is not None:

    rule empty_prompt:
        input:
            model_file("text_encoder", cfg.model.text_encoder),
            model_file("tokenizer", cfg.model.tokenizer),
        output:
            prompt=str(cfg.model.prompt_embedding),
        log:
            "logs/empty_prompt.log",
        benchmark:
            "logs/benchmarks/empty_prompt.tsv"
        conda:
            "../envs/vividface.yaml"
        threads: MODEL_THREADS
        params:
            config=cfg.pick("model.text_encoder", "model.tokenizer"),
        message:
            "Embedding the empty prompt"
        script:
            "../scripts/empty_prompt.py"
