"""Evaluation: every method restores every benchmark, then every metric is measured (section 4.1)."""


rule import_results:
    # What somebody else restored the benchmark to.
    input:
        clips="data/{dataset}/clips.parquet",
        hq=lambda wildcards: shards("data/{dataset}/hq/{shard}", [wildcards.dataset]),
        folder=lambda wildcards: str(FOLDERS[wildcards.method][wildcards.dataset]),
    output:
        restored=directory("results/restored/{dataset}/{method}"),
    log:
        "logs/import_results/{dataset}/{method}.log",
    benchmark:
        "logs/benchmarks/import_results/{dataset}/{method}.tsv"
    wildcard_constraints:
        # Without a method of others, no name fits.
        method=only(FOLDERS),
    conda:
        "../envs/vividface.yaml"
    params:
        config=lambda wildcards: cfg.pick(
            f"evaluation.methods.{wildcards.method}.kind",
            f"evaluation.methods.{wildcards.method}.folders.{wildcards.dataset}",
        ),
    message:
        "Importing the results of {wildcards.method} on {wildcards.dataset}"
    script:
        "../scripts/import_results.py"


# By Snakemake's own deployment (--sdm conda) the environments of the package's methods are made too. Otherwise, and of
# a description that lies elsewhere, fetch_method makes them.
METHODS_BY_CONDA = [
    name
    for name in PUBLISHED
    if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    and cfg.evaluation.methods[name].description is None
]


if METHODS_BY_CONDA:

    rule method_environment:
        # Where the environment lies.
        output:
            prefix="data/environments/{method}.txt",
        log:
            "logs/method_environment/{method}.log",
        benchmark:
            "logs/benchmarks/method_environment/{method}.tsv"
        wildcard_constraints:
            method=only(METHODS_BY_CONDA),
        localrule: True
        conda:
            "../envs/methods/{method}.yaml"
        message:
            "Naming the environment of {wildcards.method}"
        # Not a script, whose Python would need the packages of Snakemake's.
        shell:
            "python -c 'import sys; print(sys.prefix)' > {output.prefix:q} 2> {log:q}"


rule fetch_method:
    # What is missing, and why, where a published method cannot be run.
    input:
        prefix=lambda wildcards: (
            f"data/environments/{wildcards.method}.txt"
            if wildcards.method in METHODS_BY_CONDA
            else []
        ),
    output:
        fetched="data/methods/{method}.json",
    log:
        "logs/fetch_method/{method}.log",
    benchmark:
        "logs/benchmarks/fetch_method/{method}.tsv"
    wildcard_constraints:
        method=only(PUBLISHED),
    localrule: True
    conda:
        "../envs/vividface.yaml"
    params:
        config=lambda wildcards: cfg.pick(
            f"evaluation.methods.{wildcards.method}.kind",
            f"evaluation.methods.{wildcards.method}.description",
        ),
        method=lambda wildcards: PUBLISHED[wildcards.method].fingerprint,
        # Only its own: what is accepted of other methods runs nothing again.
        accepted=lambda wildcards: [
            licence.id
            for licence in PUBLISHED[wildcards.method].to_accept()
            if licence.id in cfg.evaluation.accept_licences
        ],
    message:
        "Fetching the code, the environment and the weights of {wildcards.method}"
    script:
        "../scripts/fetch_method.py"


rule run_method:
    # A published method, in its own environment.
    input:
        weights="data/weights.json",
        fetched="data/methods/{method}.json",
        clips="data/{dataset}/clips.parquet",
        lq=lambda wildcards: lq_clips(wildcards.dataset),
        hq=lambda wildcards: shards("data/{dataset}/hq/{shard}", [wildcards.dataset]),
    output:
        restored=directory("results/restored/{dataset}/{method}"),
    log:
        "logs/run_method/{dataset}/{method}.log",
    benchmark:
        "logs/benchmarks/run_method/{dataset}/{method}.tsv"
    wildcard_constraints:
        method=only(PUBLISHED),
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=lambda wildcards: int(PUBLISHED[wildcards.method].needs_gpu or GPUS),
    params:
        config=lambda wildcards: cfg.pick(*published_keys(wildcards)),
        method=lambda wildcards: PUBLISHED[wildcards.method].fingerprint,
    message:
        "Restoring {wildcards.dataset} with the program of {wildcards.method}"
    script:
        "../scripts/run_method.py"


rule restore_benchmark:
    input:
        weights="data/weights.json",
        clips="data/{dataset}/clips.parquet",
        lq=lambda wildcards: lq_clips(wildcards.dataset),
        hq=lambda wildcards: shards("data/{dataset}/hq/{shard}", [wildcards.dataset]),
        checkpoint=checkpoint_of,
        pretrained=pretrained_of,
    output:
        restored=directory("results/restored/{dataset}/{method}"),
    log:
        "logs/restore_benchmark/{dataset}/{method}.log",
    benchmark:
        "logs/benchmarks/restore_benchmark/{dataset}/{method}.tsv"
    wildcard_constraints:
        method=only(
            [name for name in cfg.methods() if name not in cfg.evaluation.methods]
        ),
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        config=lambda wildcards: cfg.pick(*method_keys(wildcards)),
    message:
        "Restoring {wildcards.dataset} with {wildcards.method}"
    script:
        "../scripts/restore_benchmark.py"


rule benchmark_faces:
    # Faces of the ground truth, and its features for metrics of sets, once for all methods; of a really
    # degraded benchmark the faces of its clips.
    input:
        weights="data/weights.json",
        clips="data/{dataset}/clips.parquet",
        hq=lambda wildcards: shards("data/{dataset}/hq/{shard}", [wildcards.dataset]),
    output:
        faces="results/benchmark_faces/{dataset}.safetensors",
    log:
        "logs/benchmark_faces/{dataset}.log",
    benchmark:
        "logs/benchmarks/benchmark_faces/{dataset}.tsv"
    conda:
        "../envs/vividface.yaml"
    resources:
        gpu=FACE_GPUS,
    params:
        config=cfg.pick(*DETECTION),
        with_features=lambda wildcards: wildcards.dataset in WITH_REFERENCE,
    message:
        "Finding the faces of {wildcards.dataset}"
    script:
        "../scripts/benchmark_faces.py"


rule measure:
    input:
        weights="data/weights.json",
        clips="data/{dataset}/clips.parquet",
        restored="results/restored/{dataset}/{method}",
        hq=lambda wildcards: shards("data/{dataset}/hq/{shard}", [wildcards.dataset]),
        faces="results/benchmark_faces/{dataset}.safetensors",
    output:
        metrics="results/metrics/{dataset}/{method}.parquet",
    log:
        "logs/measure/{dataset}/{method}.log",
    benchmark:
        "logs/benchmarks/measure/{dataset}/{method}.tsv"
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        config=cfg.pick(*DETECTION, "evaluation.metrics"),
        has_reference=lambda wildcards: wildcards.dataset in WITH_REFERENCE,
    message:
        "Measuring {wildcards.method} on {wildcards.dataset}"
    script:
        "../scripts/measure.py"
