"""A benchmark's clips, restored with one method and timed."""

from pathlib import Path

from vividface.data.clips import locate_clips
from vividface.errors import MissingWeightsError
from vividface.evaluation.methods.run import load_method, restore_clips
from vividface.evaluation.runs import write_missing
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    name, device = snakemake.wildcards.method, rule.device()
    checkpoint = snakemake.input.get("checkpoint")
    output = Path(snakemake.output.restored)
    try:
        method = load_method(
            name, rule.config, checkpoint=Path(checkpoint) if checkpoint else None, device=device
        )
    except MissingWeightsError as error:
        # Its rows say why; the other methods' do not wait for it.
        write_missing(name, str(error), output)
    else:
        restore_clips(
            name,
            method,
            clips=locate_clips([snakemake.input.clips], hq=snakemake.input.hq, lq=snakemake.input.lq),
            config=rule.config.restoration,
            output=output,
            num_timed_runs=rule.config.evaluation.num_timed_runs,
            device=device,
        )
