"""Data: source videos, clips, face crops (section 3.3) and masks (section 3.2)."""

# Where the face is cropped, how, and which clips are kept.
CROPPING = [
    "clips.size",
    "clips.margin",
    "clips.min_face",
    "clips.max_lost_share",
    "clips.max_padding_share",
]


rule fetch_dataset:
    output:
        table="data/{dataset}/videos.parquet",
    log:
        "logs/fetch_dataset/{dataset}.log",
    benchmark:
        "logs/benchmarks/fetch_dataset/{dataset}.tsv"
    priority: 30
    localrule: True
    conda:
        "../envs/vividface.yaml"
    params:
        config=lambda wildcards: cfg.pick(
            f"datasets.{wildcards.dataset}.source",
            *(
                ["seed"]
                if cfg.datasets[wildcards.dataset].source.kind in ("youtube", "photos")
                else []
            ),
        ),
    message:
        "Fetching the videos of {wildcards.dataset}"
    script:
        "../scripts/fetch_dataset.py"


rule fetch_lq:
    input:
        videos="data/{dataset}/videos.parquet",
    output:
        table="data/{dataset}/lq_videos.parquet",
    log:
        "logs/fetch_lq/{dataset}.log",
    benchmark:
        "logs/benchmarks/fetch_lq/{dataset}.tsv"
    # Of a benchmark that is published with its degraded videos.
    wildcard_constraints:
        dataset=only(PAIRED),
    priority: 30
    localrule: True
    conda:
        "../envs/vividface.yaml"
    params:
        config=lambda wildcards: cfg.pick(f"datasets.{wildcards.dataset}.lq_source"),
    message:
        "Fetching the degraded videos of {wildcards.dataset}"
    script:
        "../scripts/fetch_lq.py"


rule find_shots:
    # A shard of this rule holds videos; from plan_clips on, a shard holds clips.
    input:
        videos="data/{dataset}/videos.parquet",
    output:
        shots="data/{dataset}/shots/{shard}.parquet",
    log:
        "logs/find_shots/{dataset}/{shard}.log",
    benchmark:
        "logs/benchmarks/find_shots/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    params:
        config=lambda wildcards: cfg.pick(
            *num_shards_keys(wildcards),
            f"datasets.{wildcards.dataset}.split_shots",
            *(
                ["clips.cut_threshold"]
                if cfg.datasets[wildcards.dataset].split_shots
                else []
            ),
        ),
    message:
        "Finding shots of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/find_shots.py"


rule find_shared:
    # What takes this table takes it as it is found: another benchmark trains nothing again, unless it shares videos
    # with the training data, which gather_clips refuses then.
    input:
        training=expand("data/{dataset}/videos.parquet", dataset=TRAIN),
        benchmarks=expand("data/{dataset}/videos.parquet", dataset=BENCHMARKS),
    output:
        table="data/shared.parquet",
    log:
        "logs/find_shared.log",
    benchmark:
        "logs/benchmarks/find_shared.tsv"
    priority: 30
    localrule: True
    conda:
        "../envs/vividface.yaml"
    params:
        training=TRAIN,
        benchmarks=BENCHMARKS,
    message:
        "Looking for training videos in the benchmarks"
    script:
        "../scripts/find_shared.py"


rule plan_clips:
    input:
        shared=ancient("data/shared.parquet"),
        videos="data/{dataset}/videos.parquet",
        shots=lambda wildcards: shards(
            "data/{dataset}/shots/{shard}.parquet", [wildcards.dataset]
        ),
    output:
        plan="data/{dataset}/plan.parquet",
    log:
        "logs/plan_clips/{dataset}.log",
    benchmark:
        "logs/benchmarks/plan_clips/{dataset}.tsv"
    priority: 30
    localrule: True
    conda:
        "../envs/vividface.yaml"
    params:
        config=lambda wildcards: cfg.pick(
            *num_shards_keys(wildcards),
            *(
                ["clips.num_frames"]
                if cfg.datasets[wildcards.dataset].num_frames is None
                else []
            ),
            f"datasets.{wildcards.dataset}.num_frames",
            f"datasets.{wildcards.dataset}.max_clips",
            *(
                ["seed"]
                if cfg.datasets[wildcards.dataset].max_clips is not None
                else []
            ),
        ),
    message:
        "Planning the clips of {wildcards.dataset}"
    script:
        "../scripts/plan_clips.py"


rule extract_clips:
    input:
        weights="data/weights.json",
        plan="data/{dataset}/plan.parquet",
    output:
        table="data/{dataset}/clips/{shard}.parquet",
        hq=directory("data/{dataset}/hq/{shard}"),
        faces="data/{dataset}/faces/{shard}.safetensors",
    log:
        "logs/extract_clips/{dataset}/{shard}.log",
    benchmark:
        "logs/benchmarks/extract_clips/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=FACE_GPUS,
    params:
        config=lambda wildcards: cfg.pick(
            *DETECTION,
            f"datasets.{wildcards.dataset}.crop",
            *(CROPPING if cfg.datasets[wildcards.dataset].crop else []),
        ),
    message:
        "Cropping the faces of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/extract_clips.py"


rule gather_clips:
    # Stops the run when too many clips were rejected, or a benchmark's videos are trained on, before anything is
    # computed from the rest.
    input:
        shared=ancient("data/shared.parquet"),
        training=lambda wildcards: (
            []
            if wildcards.dataset in TRAIN
            else [ancient(f"data/{name}/plan.parquet") for name in TRAIN]
        ),
        tables=lambda wildcards: shards(
            "data/{dataset}/clips/{shard}.parquet", [wildcards.dataset]
        ),
    output:
        table="data/{dataset}/clips.parquet",
    log:
        "logs/gather_clips/{dataset}.log",
    benchmark:
        "logs/benchmarks/gather_clips/{dataset}.tsv"
    priority: 30
    localrule: True
    conda:
        "../envs/vividface.yaml"
    message:
        "Gathering the clips of {wildcards.dataset}"
    script:
        "../scripts/gather_clips.py"


rule extract_lq:
    input:
        clips="data/{dataset}/clips.parquet",
        lq_videos="data/{dataset}/lq_videos.parquet",
    output:
        lq=directory("data/{dataset}/lq/{shard}"),
    log:
        "logs/extract_lq/{dataset}/{shard}.log",
    benchmark:
        "logs/benchmarks/extract_lq/{dataset}/{shard}.tsv"
    wildcard_constraints:
        dataset=only(PAIRED),
    priority: 30
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    message:
        "Taking the degraded clips of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/extract_lq.py"


rule face_masks:
    input:
        weights="data/weights.json",
        clips="data/{dataset}/clips.parquet",
        faces="data/{dataset}/faces/{shard}.safetensors",
        hq="data/{dataset}/hq/{shard}",
    output:
        masks=directory("data/{dataset}/masks/{shard}"),
    log:
        "logs/face_masks/{dataset}/{shard}.log",
    benchmark:
        "logs/benchmarks/face_masks/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=FACE_GPUS,
    params:
        config=cfg.pick(*DETECTION, "faces.mask"),
    message:
        "Parsing the faces of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/face_masks.py"
