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
        "logs/benchmarks/degrade/{dataset}/{shard}.tsv"
    wildcard_constraints:
        dataset=only([name for name in cfg.datasets if name not in PAIRED]),
    priority: 30
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    params:
        config=cfg.pick(*DEGRADATION),
        # A benchmark clip has one degradation.
        num_draws=lambda wildcards: (
            cfg.degradation.num_draws if wildcards.dataset in TRAIN else 1
        ),
    message:
        "Degrading {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/degrade.py"
