"""Data: third-party weights, source videos, clips, face crops (section 3.3) and masks (section 3.2)."""


localrules:
    fetch_assets,
    fetch_dataset,
    plan_clips,
    gather_clips,


rule fetch_assets:
    # The only rules with network access are this one and fetch_dataset; they run where Snakemake runs.
    output:
        "data/assets.json",
    log:
        "logs/fetch_assets.log",
    benchmark:
        "benchmarks/rules/fetch_assets.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    params:
        assets=cfg.assets,
    script:
        "../scripts/fetch_assets.py"


rule fetch_dataset:
    output:
        table="data/{dataset}/videos.parquet",
    log:
        "logs/fetch_dataset/{dataset}.log",
    benchmark:
        "benchmarks/rules/fetch_dataset/{dataset}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    params:
        dataset=lambda wildcards: section(cfg.datasets[wildcards.dataset]),
        seed=cfg.seed,
    script:
        "../scripts/fetch_dataset.py"


rule find_shots:
    input:
        videos="data/{dataset}/videos.parquet",
    output:
        shots="data/{dataset}/shots/{shard}.parquet",
    log:
        "logs/find_shots/{dataset}/{shard}.log",
    benchmark:
        "benchmarks/rules/find_shots/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    params:
        shards=lambda wildcards: len(cfg.shard_names(wildcards.dataset)),
        threshold=lambda wildcards: (
            cfg.clips.cut_threshold
            if cfg.datasets[wildcards.dataset].split_shots
            else None
        ),
    script:
        "../scripts/find_shots.py"


rule plan_clips:
    input:
        videos="data/{dataset}/videos.parquet",
        shots=lambda wildcards: shards(
            "data/{dataset}/shots/{shard}.parquet", [wildcards.dataset]
        ),
    output:
        plan="data/{dataset}/plan.parquet",
    log:
        "logs/plan_clips/{dataset}.log",
    benchmark:
        "benchmarks/rules/plan_clips/{dataset}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    params:
        dataset=lambda wildcards: section(cfg.datasets[wildcards.dataset]),
        clips=section(cfg.clips),
        shards=lambda wildcards: len(cfg.shard_names(wildcards.dataset)),
        seed=cfg.seed,
    script:
        "../scripts/plan_clips.py"


rule extract_clips:
    input:
        assets="data/assets.json",
        plan="data/{dataset}/plan.parquet",
    output:
        table="data/{dataset}/clips/{shard}.parquet",
        hq=directory("data/{dataset}/hq/{shard}"),
        faces="data/{dataset}/faces/{shard}.safetensors",
    log:
        "logs/extract_clips/{dataset}/{shard}.log",
    benchmark:
        "benchmarks/rules/extract_clips/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=FACE_GPUS,
    params:
        clips=section(cfg.clips),
        faces=section(cfg.faces),
        device=FACE_DEVICE,
    script:
        "../scripts/extract_clips.py"


rule gather_clips:
    # Stops the run when too many clips were rejected, before anything is computed from the rest.
    input:
        tables=lambda wildcards: shards(
            "data/{dataset}/clips/{shard}.parquet", [wildcards.dataset]
        ),
    output:
        table="data/{dataset}/clips.parquet",
    log:
        "logs/gather_clips/{dataset}.log",
    benchmark:
        "benchmarks/rules/gather_clips/{dataset}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    params:
        clips=section(cfg.clips),
    script:
        "../scripts/gather_clips.py"


rule face_masks:
    input:
        assets="data/assets.json",
        clips="data/{dataset}/clips.parquet",
        faces="data/{dataset}/faces/{shard}.safetensors",
        hq="data/{dataset}/hq/{shard}",
    output:
        masks=directory("data/{dataset}/masks/{shard}"),
    log:
        "logs/face_masks/{dataset}/{shard}.log",
    benchmark:
        "benchmarks/rules/face_masks/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=FACE_GPUS,
    params:
        faces=section(cfg.faces),
        device=FACE_DEVICE,
    script:
        "../scripts/face_masks.py"
