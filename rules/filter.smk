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
        params:
            repo=cfg.filter.qwen.repo,
            revision=cfg.filter.qwen.revision,
            folder=str(cfg.filter.qwen.folder),
        script:
            "../scripts/fetch_judge.py"


rule score_clips:
    # The journal is no output: it keeps what was scored when a job is killed, or runs again. It is appended to,
    # so it lies where DVC links nothing into its cache.
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
        gpu=JUDGE_GPUS,
    params:
        judging=cfg.filter.judging(),
        rubric=rubric.fingerprint,
        journal="data/{dataset}/journals/scores/{shard}.jsonl",
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
    params:
        selection=section(cfg.filter.selection()),
        rubric=section(rubric),
    script:
        "../scripts/filtering_page.py"


if cfg.filter.study is not None:

    rule repeat_scores:
        # The same clips again, to see how much a judge differs from itself.
        input:
            model=judge_model,
            tables=expand("data/{dataset}/clips.parquet", dataset=TRAIN),
            clips="data/{dataset}/clips.parquet",
            hq="data/{dataset}/hq/{shard}",
            masks="data/{dataset}/masks/{shard}",
            faces="data/{dataset}/faces/{shard}.safetensors",
        output:
            scores="data/{dataset}/scores_repeated/{shard}.parquet",
        log:
            "logs/repeat_scores/{dataset}/{shard}.log",
        benchmark:
            "benchmarks/rules/repeat_scores/{dataset}/{shard}.tsv"
        conda:
            "../envs/vividface.yaml"
        threads: MODEL_THREADS if JUDGE_GPUS else 1
        resources:
            gpu=JUDGE_GPUS,
        params:
            judging=cfg.filter.judging(),
            study=section(cfg.filter.study),
            rubric=rubric.fingerprint,
            seed=cfg.seed,
            journal="data/{dataset}/journals/scores_repeated/{shard}.jsonl",
            device=JUDGE_DEVICE,
        script:
            "../scripts/repeat_scores.py"

    rule clip_quality:
        input:
            assets="data/assets.json",
            clips="data/{dataset}/clips.parquet",
            hq="data/{dataset}/hq/{shard}",
        output:
            quality="data/{dataset}/quality/{shard}.parquet",
        log:
            "logs/clip_quality/{dataset}/{shard}.log",
        benchmark:
            "benchmarks/rules/clip_quality/{dataset}/{shard}.tsv"
        conda:
            "../envs/vividface.yaml"
        threads: MODEL_THREADS
        resources:
            gpu=GPUS,
        params:
            metrics=cfg.filter.study.metrics,
            faces=section(cfg.faces),
            identity=cfg.identity,
            device=DEVICE,
        script:
            "../scripts/clip_quality.py"

    rule study_sets:
        # Trained on by variants with `selected_by`.
        input:
            decisions=rules.select_clips.output.decisions,
            quality=shards("data/{dataset}/quality/{shard}.parquet", TRAIN),
        output:
            metric="data/study/metric.parquet",
            random="data/study/random.parquet",
        log:
            "logs/study_sets.log",
        benchmark:
            "benchmarks/rules/study_sets.tsv"
        conda:
            "../envs/vividface.yaml"
        params:
            metrics=cfg.filter.study.metrics,
            seed=cfg.seed,
        script:
            "../scripts/study_sets.py"

    rule filter_study:
        input:
            decisions=rules.select_clips.output.decisions,
            repeated=shards("data/{dataset}/scores_repeated/{shard}.parquet", TRAIN),
            quality=rules.study_sets.input.quality,
            sets=rules.study_sets.output,
            labels=[str(cfg.filter.study.labels)] if cfg.filter.study.labels else [],
        output:
            report="results/filter_study.md",
            figures="results/filter_study.json",
        log:
            "logs/filter_study.log",
        benchmark:
            "benchmarks/rules/filter_study.tsv"
        conda:
            "../envs/vividface.yaml"
        params:
            selection=section(cfg.filter.selection()),
            rubric=section(rubric),
        script:
            "../scripts/filter_study.py"
