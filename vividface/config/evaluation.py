"""What is measured, and against what (paper section 4.1)."""

from __future__ import annotations

from typing import Literal

from vividface.config.fields import Section, key

# The methods that need no training of ours, with their titles in the tables.
BASELINES = {
    "bicubic": "degraded input (bicubic)",
    "classical": "denoise + unsharp (ffmpeg)",
    "realesrgan": "Real-ESRGAN (animevideov3)",
    "autoencoder": "autoencoder of the ground truth (ceiling)",
    "untuned": "untuned transformer",
}


class EvaluationConfig(Section):
    """What is measured, and against what."""

    baselines: list[Literal["bicubic", "classical", "realesrgan", "autoencoder", "untuned"]] = key(
        "methods beside the variants"
    )
    metrics: list[str] = key(
        'metrics, as docs/metrics.md defines them ("Metrics")', "section 4.1", min_length=1
    )
    bootstrap: int = key("resamplings of the clips for the 95 % intervals", ge=100)
    dtype: Literal["auto", "fp32", "bf16"] = key(
        "type of the models' weights when a benchmark is restored; `auto`: bf16 on a GPU", default="auto"
    )
    num_timed_runs: int = key(
        "restorations of a benchmark's first clip that are timed, after a warm-up (Table 3)", default=5, ge=1
    )
