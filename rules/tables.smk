"""The paper's Tables 1-7 with our rows beside its own, and the report."""

TRAININGS = [
    *expand(
        "checkpoints/{variant}/latent_stage",
        variant=[n for n, v in cfg.variants.items() if v.latent_stage_of is None],
    ),
    *expand("checkpoints/{variant}/pixel_stage", variant=cfg.variants),
]
# Keys that the tables print.
TABLES = [
    "datasets.*.role",
    "datasets.*.degrade",
    "datasets.*.lq_source.kind",
    "datasets.*.crop",
    "datasets.*.num_frames",
    "datasets.*.candidates",
    "datasets.*.title",
    "variants.*.title",
    "variants.*.selected_set",
    "evaluation.baselines",
    "evaluation.bootstrap",
    "evaluation.methods.*.kind",
    *(f"evaluation.methods.{name}.title" for name in FOLDERS),
    *(f"evaluation.methods.{name}.description" for name in PUBLISHED),
    "faces.backend",
    "model.preset",
]


rule write_tables:
    input:
        metrics=[f"results/metrics/{d}/{m}.parquet" for d, m in restored_methods()],
        restored=[f"results/restored/{d}/{m}" for d, m in restored_methods()],
    output:
        tables=report(
            expand(
                "results/tables/table{n}.{form}",
                n=range(1, 8),
                form=["md", "csv", "tex"],
            ),
            caption="report/tables.rst",
            category="Tables",
        ),
        # The same means as JSON, a file per method: what `dvc metrics` shows.
        summary=directory("results/summary"),
    log:
        "logs/write_tables.log",
    benchmark:
        "logs/benchmarks/write_tables.tsv"
    conda:
        "../envs/vividface.yaml"
    params:
        config=cfg.pick(*TABLES),
    message:
        "Writing the tables"
    script:
        "../scripts/write_tables.py"


rule render_report:
    input:
        metrics=rules.write_tables.input.metrics,
        restored=rules.write_tables.input.restored,
        curves=[f"{run}.csv" for run in TRAININGS],
        validations=[f"{run}_validation.csv" for run in TRAININGS],
        decisions=rules.select_clips.output.decisions,
        clips=expand("data/{dataset}/clips.parquet", dataset=cfg.datasets),
        lq=[path for dataset in BENCHMARKS for path in lq_clips(dataset)],
        hq=shards("data/{dataset}/hq/{shard}", BENCHMARKS),
    output:
        report=report(
            "results/report.html",
            caption="report/report.rst",
            category="Pages",
        ),
    log:
        "logs/render_report.log",
    benchmark:
        "logs/benchmarks/render_report.tsv"
    conda:
        "../envs/vividface.yaml"
    params:
        config=cfg.pick(
            *TABLES,
            "name",
            "seed",
            "datasets.*.credit",
            "datasets.*.licence",
            "clips.num_frames",
            "clips.size",
            "filter.judge",
            "filter.rubric",
            "filter.threshold",
            "filter.top_share",
            "model.prediction",
            "model.timestep",
            "latent_stage.iterations",
            "pixel_stage.iterations",
        ),
    message:
        "Rendering the report"
    script:
        "../scripts/render_report.py"
