"""Latent precomputation (section 3.1), with the masks on the latent grid (Eq. 4-5)."""


rule encode_latents:
    input:
        clips="data/{dataset}/clips.parquet",
        hq="data/{dataset}/hq/{shard}",
        lq="data/{dataset}/lq/{shard}",
        masks="data/{dataset}/masks/{shard}",
        pretrained=pretrained("autoencoder"),
    output:
        latents="data/{dataset}/latents/{shard}.safetensors",
    log:
        "logs/encode_latents/{dataset}/{shard}.log",
    benchmark:
        "logs/benchmarks/encode_latents/{dataset}/{shard}.tsv"
    priority: 30
    conda:
        "../envs/vividface.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=GPUS,
    params:
        config=cfg.pick(
            *AUTOENCODER, "latent_stage.num_frames", "degradation.num_draws"
        ),
    message:
        "Encoding {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/encode_latents.py"
