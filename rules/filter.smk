"""Filtering: scores on a rubric, the selected set MLLM-Face90 (section 3.3, supplement B), and its study."""

if cfg.filter.judge == "qwen2.5-vl":

    rule fetch_judge:
        output:
            model_file("judge", cfg.filter.qwen.folder),
        log:
            "logs/fetch_judge.log",
        benchmark:
            "logs/benchmarks/fetch_judge.tsv"
        localrule: True
        conda:
            "../envs/vividface.yaml"
        params:
            config=cfg.pick(
                "filter.qwen.repo", "filter.qwen.revision", "filter.qwen.folder"
            ),
        message:
            "Fetching Qwen2.5-VL"
        script:
            "../scripts/fetch_judge.py"


rule score_clips:
    # The journal is no output: it keeps what was scored when a job is killed, or runs again. It is appended to,
    # so it lies where DVC links nothing into its cache. `rubric` only makes a changed rubric file score again.
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
        "logs/benchmarks/score_clips/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS if JUDGE_GPUS else 1
    resources:
        gpu=JUDGE_GPUS,
    params:
        config=cfg.pick(*JUDGE),
        rubric=rubric.fingerprint,
        journal="data/{dataset}/journals/scores/{shard}.jsonl",
    message:
        "Scoring {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/score_clips.py"


rule select_clips:
    input:
        scores=shards("data/{dataset}/scores/{shard}.parquet", TRAIN),
        clips=expand("data/{dataset}/clips.parquet", dataset=TRAIN),
    output:
        selected="data/selection/face90.parquet",
        decisions="data/selection/decisions.parquet",
    log:
        "logs/select_clips.log",
    benchmark:
        "logs/benchmarks/select_clips.tsv"
    priority: 30
    localrule: True
    conda:
        "../envs/vividface.yaml"
    params:
        config=cfg.pick(*SELECTION),
        rubric=rubric.digest,
    message:
        "Selecting clips"
    script:
        "../scripts/select_clips.py"


rule filtering_page:
    input:
        scores=rules.select_clips.input.scores,
        decisions=rules.select_clips.output.decisions,
        hq=shards("data/{dataset}/hq/{shard}", TRAIN),
    output:
        page=report(
            "results/filtering.html",
            caption="report/filtering.rst",
            category="Pages",
        ),
    log:
        "logs/filtering_page.log",
    benchmark:
        "logs/benchmarks/filtering_page.tsv"
    conda:
        "../envs/vividface.yaml"
    params:
        config=cfg.pick(*SELECTION),
        rubric=rubric.digest,
    message:
        "Rendering the filtering page"
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
            "logs/benchmarks/repeat_scores/{dataset}/{shard}.tsv"
        conda:
            "../envs/vividface.yaml"
        threads: MODEL_THREADS if JUDGE_GPUS else 1
        resources:
            gpu=JUDGE_GPUS,
        params:
            config=cfg.pick(
                *JUDGE,
                "seed",
                "filter.study.num_clips",
                "filter.study.num_repeats",
                "filter.study.temperature",
            ),
            rubric=rubric.fingerprint,
            journal="data/{dataset}/journals/scores_repeated/{shard}.jsonl",
        message:
            "Scoring {wildcards.dataset} again, shard {wildcards.shard}"
        script:
            "../scripts/repeat_scores.py"

    rule clip_quality:
        input:
            weights="data/weights.json",
            clips="data/{dataset}/clips.parquet",
            hq="data/{dataset}/hq/{shard}",
        output:
            quality="data/{dataset}/quality/{shard}.parquet",
        log:
            "logs/clip_quality/{dataset}/{shard}.log",
        benchmark:
            "logs/benchmarks/clip_quality/{dataset}/{shard}.tsv"
        conda:
            "../envs/vividface.yaml"
        threads: MODEL_THREADS
        resources:
            gpu=GPUS,
        params:
            config=cfg.pick(*DETECTION, "filter.study.metrics"),
        message:
            "Measuring the clips of {wildcards.dataset}, shard {wildcards.shard}"
        script:
            "../scripts/clip_quality.py"

    rule study_sets:
        # Trained on by variants with `selected_by`.
        input:
            decisions=rules.select_clips.output.decisions,
            quality=shards("data/{dataset}/quality/{shard}.parquet", TRAIN),
        output:
            metric="data/selection/study/metric.parquet",
            random="data/selection/study/random.parquet",
        log:
            "logs/study_sets.log",
        benchmark:
            "logs/benchmarks/study_sets.tsv"
        conda:
            "../envs/vividface.yaml"
        params:
            config=cfg.pick("seed", "filter.study.metrics"),
        message:
            "Selecting by a metric and at random"
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
            "logs/benchmarks/filter_study.tsv"
        conda:
            "../envs/vividface.yaml"
        params:
            config=cfg.pick(*SELECTION),
            rubric=rubric.digest,
        message:
            "Studying the filter"
        script:
            "../scripts/filter_study.py"
