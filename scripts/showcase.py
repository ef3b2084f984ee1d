import tempfile
from pathlib import Path

import pandas as pd

from vividface.config import ClipsConfig, DegradationConfig, FacesConfig
from vividface.data.clips import extract_video
from vividface.data.degradation import degrade_clip, draw_parameters, present
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    video = pd.read_parquet(snakemake.input.videos).iloc[0]
    degradation = DegradationConfig(**snakemake.params.degradation)
    truth, degraded = Path(snakemake.output.truth), Path(snakemake.output.degraded)
    extract_video(
        Path(video["path"]),
        ClipsConfig(**snakemake.params.clips),
        FacesConfig(**snakemake.params.faces),
        truth,
    )
    parameters = draw_parameters(degradation, snakemake.params.seed, video["video_id"])
    with tempfile.TemporaryDirectory() as directory:
        encoded = Path(directory) / "encoded.mkv"
        degrade_clip(truth, encoded, parameters, degradation)
        present(encoded, truth, degraded)
