from pathlib import Path

from vividface.config import FacesConfig
from vividface.data.clips import locate_clips
from vividface.devices import choose_device
from vividface.evaluation.measure import write_reference_faces
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    clips = locate_clips(snakemake.input.clips, hq=snakemake.input.hq)
    write_reference_faces(
        dict(zip(clips["clip_id"], clips["hq"], strict=True)),
        FacesConfig(**snakemake.params.faces),
        Path(snakemake.output.faces),
        choose_device(snakemake.params.device, snakemake.resources.gpu),
    )
