import pandas as pd

from vividface.data.clips import shard_of
from vividface.data.shots import find_shots
from vividface.files import atomic_path
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    videos = pd.read_parquet(snakemake.input.videos)
    shards = videos["video_id"].map(lambda video: shard_of(video, snakemake.params.shards))
    shots = find_shots(videos[shards == snakemake.wildcards.shard], snakemake.params.threshold)
    with atomic_path(snakemake.output.shots) as temporary:
        shots.to_parquet(temporary)
