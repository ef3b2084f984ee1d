from vividface.cli import main
from vividface.config import RestorationConfig
from vividface.devices import choose_device
from vividface.errors import InputError
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    restoration = RestorationConfig(**snakemake.params.restoration)
    status = main(
        [
            "enhance",
            snakemake.input.video,
            *("--output", snakemake.output.enhanced),
            *("--compare", snakemake.output.compare),
            *("--weights", snakemake.input.checkpoint),
            *("--mode", "crop"),
            *("--window", str(restoration.window)),
            *("--overlap", str(restoration.overlap)),
            *("--colour", restoration.colour),
            *("--cut-threshold", str(restoration.cut_threshold or 0)),
            *("--device", choose_device(snakemake.params.device, snakemake.resources.gpu)),
            "--overwrite",
        ]
    )
    if status:
        raise InputError("the command `vividface enhance` failed; its message is above")
