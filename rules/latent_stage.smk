"""Stage one: training on latents (Eq. 7), coarse on all clips, then fine on the selected ones."""


rule latent_stage:
    input:
        latents=shards("data/{dataset}/latents/{shard}.safetensors", TRAIN),
        selected="data/face90.parquet",
        pretrained=pretrained("transformer", "autoencoder", "prompt_embedding"),
    output:
        checkpoint=directory("checkpoints/{variant}/latent_stage"),
        curve="checkpoints/{variant}/latent_stage.csv",
    log:
        "logs/latent_stage/{variant}.log",
    benchmark:
        "benchmarks/rules/latent_stage/{variant}.tsv"
    priority: 20
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        mem_mb=MODEL_MEMORY_MB,
        runtime=72 * HOUR,
        gpu=GPUS,
    params:
        model=section(cfg.model),
        stage=section(cfg.latent_stage),
        variant=lambda wildcards: section(cfg.variants[wildcards.variant]),
        seed=cfg.seed,
    script:
        "../scripts/latent_stage.py"
