import json
from pathlib import Path

import pandas as pd

from vividface.config import validate_config
from vividface.data.clips import locate_clips
from vividface.evaluation.report import ReportInputs, write_report
from vividface.provenance.record import run_rule


def by_run(paths):
    """Tables by `{variant}/{stage}`."""
    tables = {}
    for path in map(Path, paths):
        tables[f"{path.parent.name}/{path.stem.removesuffix('_validation')}"] = pd.read_csv(path)
    return tables


def of_dataset(paths, dataset):
    return [path for path in paths if Path(path).parts[-3] == dataset]


with run_rule(snakemake):
    config = validate_config(snakemake.params.config)
    restored = {(Path(path).parent.name, Path(path).name): Path(path) for path in snakemake.input.restored}
    tables = {Path(path).parent.name: path for path in snakemake.input.clips}
    located = {
        name: locate_clips(
            tables[name], lq=of_dataset(snakemake.input.lq, name), hq=of_dataset(snakemake.input.hq, name)
        )
        for name in config.by_role("benchmark")
    }
    inputs = ReportInputs(
        metrics=pd.concat([pd.read_parquet(path) for path in snakemake.input.metrics], ignore_index=True),
        runs={key: json.loads((folder / "run.json").read_text()) for key, folder in restored.items()},
        curves=by_run(snakemake.input.curves),
        validations=by_run(snakemake.input.validations),
        decisions=pd.read_parquet(snakemake.input.decisions),
        clips={name: pd.read_parquet(path) for name, path in tables.items()},
        located=located,
        restored=restored,
    )
    write_report(config, inputs, Path(snakemake.output.report))
