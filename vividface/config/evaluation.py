"""What is measured, and against what (paper section 4.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

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


class PublishedMethodConfig(Section):
    """A method that others published, run here in its own environment: a row of the tables it belongs to."""

    kind: Literal["published"] = key("kind of the method", "")
    description: Path | None = key(
        "file that describes it, as docs/methods.md says; null takes the one of its name", "", default=None
    )


class EvaluationConfig(Section):
    """What is measured, and against what."""

    baselines: list[BaselineName] = key("methods beside the variants (docs/methods.md)")
    methods: dict[
        Identifier, Annotated[FolderMethodConfig | PublishedMethodConfig, Field(discriminator="kind")]
    ] = key(
        "methods of others: run here (docs/methods.md), or folders of results (docs/evaluate.md); null "
        "removes one, or all",
        "section 4.1",
        default={},
    )
    accept_licences: list[str] = key(
        "licences of methods of others that you have read and accept, by the ids in docs/methods.md",
        default=[],
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
        """Leave out the methods that an overlay sets to null, or all of them."""
        return without_null({} if entries is None else entries)
