from vividface.cli import main
from vividface.errors import InputError
from vividface.logs import rule_log

with rule_log(snakemake.log[0]):
    status = main(
        [
            "enhance",
            snakemake.input.video,
            *("--output", snakemake.output.enhanced),
            *("--compare", snakemake.output.compare),
            *("--weights", snakemake.input.checkpoint),
            *("--window", str(snakemake.params.window)),
            *("--overlap", str(snakemake.params.overlap)),
            *("--device", snakemake.params.device),
            "--overwrite",
        ]
    )
    if status:
        raise InputError("the command `vividface enhance` failed; its message is above")
