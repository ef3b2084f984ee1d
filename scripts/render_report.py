"""The report: tables, curves and pictures on one page."""

from pathlib import Path

from vividface.evaluation.report import ReportInputs, write_report
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    files = snakemake.input
    inputs = ReportInputs.read(
        metrics=files.metrics,
        restored=files.restored,
        curves=files.curves,
        validations=files.validations,
        decisions=files.decisions,
        clips=files.clips,
        lq=files.lq,
        hq=files.hq,
    )
    write_report(rule.config, inputs, Path(snakemake.output.report))
