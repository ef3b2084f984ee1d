"""The faces of a benchmark's clips, once for all methods."""

from pathlib import Path

from vividface.data.clips import locate_clips
from vividface.evaluation.measure import write_benchmark_faces
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    clips = locate_clips([snakemake.input.clips], hq=snakemake.input.hq)
    write_benchmark_faces(
        {clip: Path(path) for clip, path in zip(clips["clip_id"], clips["hq"], strict=True)},
        rule.config.faces,
        with_features=snakemake.params.with_features,
        output=Path(snakemake.output.faces),
        device=rule.device(),
    )
