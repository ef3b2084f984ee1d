"""Filtering: scores on a rubric, the selected set MLLM-Face90 (section 3.3, supplement B), and its study."""


localrules:
    select_clips,


if cfg.filter.judge == "qwen2.5-vl":

    rule fetch_judge:
        output:
            described("judge", cfg.filter.qwen.folder),
        log:
            "logs/fetch_judge.log",
        benchmark:
            "benchmarks/rules/fetch_judge.tsv"
        localrule: True
        conda:
            "../envs/vividface.yaml"
        resources:
            mem_mb=2000,
            runtime=24 * HOUR,
        params:
            repo=cfg.filter.qwen.repo,
            revision=cfg.filter.qwen.revision,
            folder=str(cfg.filter.qwen.folder),
        script:
            "../scripts/fetch_judge.py"


rule score_clips:
    # The journal is no output: it keeps what was scored when a job is killed, or runs again.
    input:
        model=judge_model,
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
    threads: MODEL_THREADS if JUDGE_GPUS else 1
    resources:
        mem_mb=MODEL_MEMORY_MB if JUDGE_GPUS else 2000,
        runtime=12 * HOUR,
        gpu=JUDGE_GPUS,
    params:
        judging=cfg.filter.judging(),
        rubric=rubric.fingerprint,
        journal="data/{dataset}/scores/{shard}.journal",
        device=JUDGE_DEVICE,
    script:
        "../scripts/score_clips.py"


rule select_clips:
    input:
        scores=shards("data/{dataset}/scores/{shard}.parquet", TRAIN),
        clips=expand("data/{dataset}/clips.parquet", dataset=TRAIN),
    output:
        selected="data/face90.parquet",
        decisions="data/decisions.parquet",
    log:
        "logs/select_clips.log",
    benchmark:
        "benchmarks/rules/select_clips.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        selection=section(cfg.filter.selection()),
        rubric=section(rubric),
    script:
        "../scripts/select_clips.py"


rule filtering_page:
    input:
        scores=rules.select_clips.input.scores,
        decisions=rules.select_clips.output.decisions,
        hq=shards("data/{dataset}/hq/{shard}", TRAIN),
    output:
        page="results/filtering.html",
    log:
        "logs/filtering_page.log",
    benchmark:
        "benchmarks/rules/filtering_page.tsv"
    conda:
        "../envs/vividface.yaml"
    resources:
        mem_mb=2000,
        runtime=HOUR,
    params:
        selection=section(cfg.filter.selection()),
        rubric=section(rubric),
    script:
        "../scripts/filtering_page.py"
