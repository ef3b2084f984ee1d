"""Stage two: fine-tuning on decoded frames (Eq. 8)."""


rule pixel_stage:
    input:
        weights="data/weights.json",
        start=lambda wildcards: "checkpoints/{}/latent_stage".format(
            cfg.variants[wildcards.variant].latent_stage_of or wildcards.variant
        ),
        clips=expand("data/{dataset}/clips.parquet", dataset=TRAIN),
        hq=shards("data/{dataset}/hq/{shard}", TRAIN),
        lq=shards("data/{dataset}/lq/{shard}", TRAIN),
        masks=shards("data/{dataset}/masks/{shard}", TRAIN),
        selected=selected_of,
    output:
        checkpoint=directory("checkpoints/{variant}/pixel_stage"),
        curve="checkpoints/{variant}/pixel_stage.csv",
        validation="checkpoints/{variant}/pixel_stage_validation.csv",
    log:
        "logs/pixel_stage/{variant}.log",
    benchmark:
        "logs/benchmarks/pixel_stage/{variant}.tsv"
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
            "seed",
            "pixel_stage",
            "degradation.num_draws",
            f"variants.{wildcards.variant}.pixel_p",
            f"variants.{wildcards.variant}.selected_set",
        ),
        candidates=CANDIDATES,
        folder="logs/training/{variant}/pixel_stage",
    message:
        "Training the pixel stage of {wildcards.variant}"
    script:
        "../scripts/pixel_stage.py"
