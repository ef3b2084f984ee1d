"""Stage two: fine-tuning on decoded frames (Eq. 8)."""


rule pixel_stage:
    input:
        assets="data/assets.json",
        start=lambda wildcards: "checkpoints/{}/latent_stage".format(
            cfg.variants[wildcards.variant].latent_stage_of or wildcards.variant
        ),
        clips=expand("data/{dataset}/clips.parquet", dataset=TRAIN),
        videos=[
            *shards("data/{dataset}/hq/{shard}", TRAIN),
            *shards("data/{dataset}/lq/{shard}", TRAIN),
            *shards("data/{dataset}/masks/{shard}", TRAIN),
        ],
        selected=selected_of,
    output:
        checkpoint=directory("checkpoints/{variant}/pixel_stage"),
        curve="checkpoints/{variant}/pixel_stage.csv",
        validation="checkpoints/{variant}/pixel_stage_validation.csv",
    log:
        "logs/pixel_stage/{variant}.log",
    benchmark:
        "benchmarks/rules/pixel_stage/{variant}.tsv"
    priority: 20
    # A stopped training exits with 75 and goes on from its state.
    retries: 3
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        stage=section(cfg.pixel_stage),
        variant=lambda wildcards: section(cfg.variants[wildcards.variant]),
        watch=section(cfg.watch),
        seed=cfg.seed,
        folder="logs/training/{variant}/pixel_stage",
        device=DEVICE,
    script:
        "../scripts/pixel_stage.py"
