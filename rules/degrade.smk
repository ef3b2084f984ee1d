"""Degradation synthesis (section 4.1)."""


rule degrade:
    input:
        clips="data/{dataset}/clips.parquet",
        hq="data/{dataset}/hq/{shard}",
    output:
        lq=directory("data/{dataset}/lq/{shard}"),
        table="data/{dataset}/degradation/{shard}.parquet",
    log:
        "logs/degrade/{dataset}/{shard}.log",
    benchmark:
        "benchmarks/rules/degrade/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    params:
        degradation=section(cfg.degradation),
        seed=cfg.seed,
    script:
        "../scripts/degrade.py"
