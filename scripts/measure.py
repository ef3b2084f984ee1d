"""Every metric of a method's restored clips."""

from pathlib import Path

from vividface.data.clips import locate_clips
from vividface.evaluation.footage import Footage
from vividface.evaluation.measure import Measuring, RestoredClip, measure_clips
from vividface.evaluation.missing import missing_measurements
from vividface.evaluation.runs import Run
from vividface.files import write_table
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    clips = locate_clips([snakemake.input.clips], hq=snakemake.input.hq).set_index("clip_id")
    restored, method = Path(snakemake.input.restored), snakemake.wildcards.method
    measuring = Measuring(
        metrics=rule.config.evaluation.metrics,
        faces_config=rule.config.faces,
        benchmark_faces=Path(snakemake.input.faces),
        device=rule.device(),
        num_processes=snakemake.threads,
    )
    if reason := Run.read(restored).missing:
        metrics = missing_measurements(clips.index, method, measuring=measuring, reason=reason)
    else:
        # Of a really degraded benchmark `hq` holds the degraded clips: their faces are in `faces`.
        reference = clips["hq"].map(
            lambda path: Footage(Path(path)) if snakemake.params.has_reference else None
        )
        metrics = measure_clips(
            [
                RestoredClip(
                    clip_id=clip,
                    results={method: Footage(restored / f"{clip}.mkv")},
                    reference=reference[clip],
                )
                for clip in clips.index
            ],
            measuring,
        )
    metrics = metrics.assign(
        dataset=snakemake.wildcards.dataset, video=metrics["clip_id"].map(clips["video_id"])
    )
    write_table(snakemake.output.metrics, metrics)
