"""Evaluation: every method restores every benchmark, then every metric is measured (section 4.1)."""


rule restore:
    input:
        assets="data/assets.json",
        clips="data/{dataset}/clips.parquet",
        lq=lambda wildcards: degraded_clips(wildcards.dataset),
        hq=lambda wildcards: shards("data/{dataset}/hq/{shard}", [wildcards.dataset]),
        checkpoint=checkpoint_of,
        pretrained=pretrained_of,
    output:
        restored=directory("results/restored/{dataset}/{method}"),
    log:
        "logs/restore/{dataset}/{method}.log",
    benchmark:
        "benchmarks/rules/restore/{dataset}/{method}.tsv"
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        model=section(cfg.model),
        restoration=section(cfg.restoration),
        seed=cfg.seed,
        device=DEVICE,
    script:
        "../scripts/restore.py"


rule reference_faces:
    # Faces of the ground truth, once for all methods.
    input:
        assets="data/assets.json",
        clips="data/{dataset}/clips.parquet",
        hq=lambda wildcards: shards("data/{dataset}/hq/{shard}", [wildcards.dataset]),
    output:
        faces="results/reference_faces/{dataset}.safetensors",
    log:
        "logs/reference_faces/{dataset}.log",
    benchmark:
        "benchmarks/rules/reference_faces/{dataset}.tsv"
    conda:
        "../envs/vividface.yaml"
    resources:
        gpu=FACE_GPUS,
    params:
        faces=section(cfg.faces),
        device=FACE_DEVICE,
    script:
        "../scripts/reference_faces.py"


rule measure:
    input:
        assets="data/assets.json",
        clips="data/{dataset}/clips.parquet",
        restored="results/restored/{dataset}/{method}",
        hq=lambda wildcards: shards("data/{dataset}/hq/{shard}", [wildcards.dataset]),
        faces=lambda wildcards: (
            f"results/reference_faces/{wildcards.dataset}.safetensors"
            if wildcards.dataset in DEGRADED
            else []
        ),
    output:
        metrics="results/metrics/{dataset}/{method}.parquet",
    log:
        "logs/measure/{dataset}/{method}.log",
    benchmark:
        "benchmarks/rules/measure/{dataset}/{method}.tsv"
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        metrics=cfg.evaluation.metrics,
        identity=cfg.identity,
        faces=section(cfg.faces),
        device=DEVICE,
    script:
        "../scripts/measure.py"
