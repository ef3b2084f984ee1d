"""The paper's chain as file-tracked steps. docs/data-formats.md lists every file between them.

Targets: `all` (default), `tables`, `report`. The experiment is config.yaml; `--configfile` lays another
file over it.
"""

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from vividface.config import validate_config
from vividface.errors import InputError
from vividface.filtering.rubric import load_rubric
from vividface.versions.bookkeeping import collect

min_version("9.0")


configfile: f"{workflow.basedir}/config.yaml"


try:
    cfg = validate_config(config)
    rubric = load_rubric(cfg.filter.rubric)
except InputError as error:
    raise WorkflowError(str(error)) from None


include: "rules/common.smk"
include: "rules/weights.smk"
include: "rules/data.smk"
include: "rules/degrade.smk"
include: "rules/filter.smk"
include: "rules/latents.smk"
include: "rules/latent_stage.smk"
include: "rules/pixel_stage.smk"
include: "rules/evaluate.smk"
include: "rules/tables.smk"
include: "rules/enhance.smk"


onsuccess:
    # For DVC, which versions the outputs: what Snakemake knows of them has to travel with them.
    collect(Path(workflow.basedir))


localrules:
    all,
    tables,
    report,


rule all:
    default_target: True
    input:
        rules.render_report.output,
        rules.write_tables.output,
        rules.filtering_page.output,
        rules.enhance.output,


rule tables:
    input:
        rules.write_tables.output,


rule report:
    input:
        rules.render_report.output,
