"""What a practitioner sees: a whole held-out video, degraded, then enhanced by the command line, with sound."""

SHOWCASE = DEGRADED_BENCHMARKS[0]


rule showcase:
    input:
        videos=f"data/{SHOWCASE}/videos.parquet",
    output:
        truth="results/enhanced/truth.mp4",
        degraded="results/enhanced/degraded.mp4",
    log:
        "logs/showcase.log",
    benchmark:
        "benchmarks/rules/showcase.tsv"
    conda:
        "../envs/vividface.yaml"
    params:
        clips=section(cfg.clips),
        faces=section(cfg.faces),
        degradation=section(cfg.degradation),
        seed=cfg.seed,
    script:
        "../scripts/showcase.py"


rule enhance:
    input:
        video="results/enhanced/degraded.mp4",
        checkpoint="checkpoints/main/pixel_stage",
    output:
        enhanced="results/enhanced/enhanced.mp4",
        compare="results/enhanced/side_by_side.mp4",
    log:
        "logs/enhance.log",
    benchmark:
        "benchmarks/rules/enhance.tsv"
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        restoration=section(cfg.restoration),
        device=DEVICE,
    script:
        "../scripts/enhance.py"
