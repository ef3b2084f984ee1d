"""What is measured, and against what (paper section 4.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from vividface.config.fields import Identifier, Section, key, without_null

BaselineName = Literal[
    "bicubic",
    "classical",
    "realesrgan",
    "codeformer",
    "gfpgan",
    "restoreformer",
    "autoencoder",
    "untuned",
]
# The methods that need no training of ours, with their titles in the tables.
BASELINES: dict[str, str] = {
    "bicubic": "degraded input (bicubic)",
    "classical": "denoise + unsharp (ffmpeg)",
    "realesrgan": "Real-ESRGAN (animevideov3)",
    "codeformer": "CodeFormer",
    "gfpgan": "GFPGAN v1.4",
    "restoreformer": "RestoreFormer",
    "autoencoder": "autoencoder of the ground truth (ceiling)",
    "untuned": "untuned transformer",
}
# Those that restore images of aligned faces.
FACE_NETWORKS = ("codeformer", "gfpgan", "restoreformer")


class FolderMethodConfig(Section):
    """Results that somebody else made: a row of every table."""

    kind: Literal["folder"] = key("kind of the method", "")
    title: str = key("name in the tables", "")
    folders: dict[Identifier, Path] = key(
        "folder of the results by benchmark: videos, or folders of frames, named after its clips or videos",
        "",
        min_length=1,
    )


class EvaluationConfig(Section):
    """What is measured, and against what."""

    baselines: list[BaselineName] = key("methods beside the variants (docs/methods.md)")
    accept_licences: list[str] = key(
        "licences of methods of others that you have read and accept, by the ids in docs/methods.md",
        default=[],
    )
    methods: dict[Identifier, FolderMethodConfig] = key(
        "methods whose results others made (docs/metrics.md); null removes one", "section 4.1", default={}
    )
    metrics: list[str] = key(
        'metrics, as docs/metrics.md defines them ("Metrics")', "section 4.1", min_length=1
    )
    bootstrap: int = key("resamplings of the videos for the 95 % intervals", ge=100)
    dtype: Literal["auto", "fp32", "bf16"] = key(
        "type of the models' weights when a benchmark is restored; `auto`: bf16 on a GPU", default="auto"
    )
    num_timed_runs: int = key(
        "restorations of a benchmark's first clip that are timed, after a warm-up (Table 3)", default=5, ge=1
    )

    @field_validator("methods", mode="before")
    @classmethod
    def _null_removes(cls, entries: Any) -> Any:
        """Leave out the methods that an overlay sets to null."""
        return without_null(entries)
