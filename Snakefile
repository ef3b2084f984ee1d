"""The paper's workflow as file-tracked steps. docs/data-formats.md lists every file between them.

Targets: `all` (default), `tables`, `report`. The experiment is config.yaml; `--configfile` lays other files
over it.
"""

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

from vividface.config import merge, merge_files, validate_config
from vividface.errors import InputError
from vividface.evaluation.methods.catalogue import configured_method
from vividface.filtering.rubric import load_rubric
from vividface.workflow.snakemake_state import collect_records

min_version("9.0")


configfile: f"{workflow.basedir}/config.yaml"


# Snakemake merges the files key by key; ours lets a section of another kind replace the one below it.
config = merge(
    merge_files([f"{workflow.basedir}/config.yaml", *workflow.overwrite_configfiles]),
    workflow.config_settings.config,
)
try:
    cfg = validate_config(config)
    rubric = load_rubric(cfg.filter.rubric)
    # The published methods to run, by their names.
    PUBLISHED = {
        name: configured_method(name, method)
        for name, method in cfg.evaluation.methods.items()
        if method.kind == "published"
    }
except InputError as error:
    raise WorkflowError(str(error)) from None


report: "rules/report/workflow.rst"


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
    collect_records(Path(workflow.basedir))


rule all:
    default_target: True
    input:
        rules.render_report.output,
        rules.write_tables.output,
        rules.filtering_page.output,
        rules.enhance.output,
    localrule: True


rule tables:
    input:
        rules.write_tables.output,
    localrule: True


rule report:
    input:
        rules.render_report.output,
    localrule: True
