"""Filtering: scores on the five criteria, and the selected set MLLM-Face90 (section 3.3, supplement B)."""


localrules:
    select_clips,


rule score_clips:
    input:
        clips="data/{dataset}/clips.parquet",
        hq="data/{dataset}/hq/{shard}",
        masks="data/{dataset}/masks/{shard}",
        faces="data/{dataset}/faces/{shard}.safetensors",
    output:
        scores="data/{dataset}/scores/{shard}.parquet",
    log:
        "logs/score_clips/{dataset}/{shard}.log",
    benchmark:
        "benchmarks/rules/score_clips/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    params:
        judge=cfg.filter.judge,
        rubric=cfg.filter.rubric,
    script:
        "../scripts/score_clips.py"


rule select_clips:
    input:
        scores=shards("data/{dataset}/scores/{shard}.parquet", TRAIN),
    output:
        selected="data/face90.parquet",
    log:
        "logs/select_clips.log",
    benchmark:
        "benchmarks/rules/select_clips.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    params:
        threshold=cfg.filter.threshold,
    script:
        "../scripts/select_clips.py"
