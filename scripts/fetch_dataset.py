"""A dataset's videos, and the table of them."""

from pathlib import Path

from vividface.data.sources import fetch_dataset
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    name, table = snakemake.wildcards.dataset, Path(snakemake.output.table)
    videos = fetch_dataset(
        name,
        rule.config.datasets[name].source,
        directory=table.parent,
        seed=getattr(rule.config, "seed", 0),
    )
    write_table(table, videos)
    rule.uses(videos["path"], videos["sha256"])
