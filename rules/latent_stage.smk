"""Stage one: training on latents (Eq. 7), coarse on all clips, then fine on the selected ones."""


rule latent_stage:
    # Checkpoints are not `protected()`: a stage that is run again on purpose has to replace its own.
    input:
        clips=expand("data/{dataset}/clips.parquet", dataset=TRAIN),
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
        "logs/benchmarks/latent_stage/{variant}.tsv"
    priority: 20
    # A stopped training exits with 75 and resumes from its state.
    retries: 3
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        config=lambda wildcards: cfg.pick(
            *TRANSFORMER,
            *AUTOENCODER,
            "latent_stage",
            f"variants.{wildcards.variant}.latent_p",
            f"variants.{wildcards.variant}.selected_set",
        ),
        candidates=CANDIDATES,
        folder="logs/training/{variant}/latent_stage",
    message:
        "Training the latent stage of {wildcards.variant}"
    script:
        "../scripts/latent_stage.py"
