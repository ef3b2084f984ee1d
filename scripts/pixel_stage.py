from vividface.devices import choose_device
from vividface.provenance.record import run_rule
from vividface.training.jobs import PixelJob
from vividface.training.launch import launch, shape

with run_rule(snakemake):
    launch(
        PixelJob(
            variant=snakemake.params.variant,
            stage=snakemake.params.stage,
            **shape(snakemake.resources, snakemake.params.stage["batch_size"]),
            watch=snakemake.params.watch,
            seed=snakemake.params.seed,
            selected=snakemake.input.selected,
            output=snakemake.output.checkpoint,
            curve=snakemake.output.curve,
            validation=snakemake.output.validation,
            folder=snakemake.params.folder,
            start=snakemake.input.start,
            clips=snakemake.input.clips,
            data="data",
        ),
        snakemake.log[0],
        snakemake.threads,
        choose_device(snakemake.params.device, snakemake.resources.gpu),
    )
