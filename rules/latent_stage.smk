"""Stage one: training on latents (Eq. 7), coarse on all clips, then fine on the selected ones."""


rule latent_stage:
    input:
        latents=shards("data/{dataset}/latents/{shard}.safetensors", TRAIN),
        selected=selected_of,
        pretrained=pretrained("transformer", "autoencoder", "prompt_embedding"),
    output:
        checkpoint=directory("checkpoints/{variant}/latent_stage"),
        curve="checkpoints/{variant}/latent_stage.csv",
        validation="checkpoints/{variant}/latent_stage_validation.csv",
    log:
        "logs/latent_stage/{variant}.log",
    benchmark:
        "benchmarks/rules/latent_stage/{variant}.tsv"
    priority: 20
    # A stopped training exits with 75 and goes on from its state.
    retries: 3
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        model=section(cfg.model),
        stage=section(cfg.latent_stage),
        variant=lambda wildcards: section(cfg.variants[wildcards.variant]),
        watch=section(cfg.watch),
        seed=cfg.seed,
        folder="logs/training/{variant}/latent_stage",
        device=DEVICE,
    script:
        "../scripts/latent_stage.py"
