"""What a practitioner sees: a whole held-out video, degraded, then enhanced, with sound."""

SHOWCASE = WITH_REFERENCE[0]


rule showcase:
    input:
        weights="data/weights.json",
        videos=f"data/{SHOWCASE}/videos.parquet",
    output:
        hq="results/enhanced/hq.mp4",
        lq="results/enhanced/lq.mp4",
    log:
        "logs/showcase.log",
    benchmark:
        "logs/benchmarks/showcase.tsv"
    conda:
        "../envs/vividface.yaml"
    resources:
        gpu=FACE_GPUS,
    params:
        config=cfg.pick(*DETECTION, *DEGRADATION, "clips.size", "clips.margin"),
    message:
        "Degrading a video to show"
    script:
        "../scripts/showcase.py"


rule enhance:
    input:
        video="results/enhanced/lq.mp4",
        checkpoint="checkpoints/main/pixel_stage",
    output:
        enhanced="results/enhanced/enhanced.mp4",
        compare=report(
            "results/enhanced/side_by_side.mp4",
            caption="report/side_by_side.rst",
            category="Videos",
        ),
    log:
        "logs/enhance.log",
    benchmark:
        "logs/benchmarks/enhance.tsv"
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        config=cfg.pick("restoration"),
    message:
        "Enhancing the video"
    script:
        "../scripts/enhance.py"
