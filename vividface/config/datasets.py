"""The datasets, and the kinds of sources that their videos come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from vividface.config.base import Section


class PackageMember(Section):
    """A file inside a package of the Python package registry; the package itself is never imported."""

    package: str
    version: str
    member: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    person: str | None = None


class PackageSource(Section):
    """Videos that are members of packages."""

    kind: Literal["package"]
    members: Annotated[list[PackageMember], Field(min_length=1)]


class FolderSource(Section):
    """A local folder of videos, searched recursively."""

    kind: Literal["folder"]
    path: Path
    pattern: str = "*"
    frames_fps: Annotated[float, Field(gt=0)] | None = None


class WebFileConfig(Section):
    """A video or an archive of videos on the web; without `sha256` its checksum is recorded on first use."""

    url: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"{url!r} does not begin with https:// or http://")
        return url


class FetchedSource(Section):
    """What all sources on the web have in common."""

    pattern: str = "*"
    parallel: Annotated[int, Field(ge=1, le=64)] = 4
    max_unpacked_gb: Annotated[float, Field(gt=0)] = 1000
    frames_fps: Annotated[float, Field(gt=0)] | None = None


class WebSource(FetchedSource):
    """Files on the web; archives are unpacked."""

    kind: Literal["url"]
    files: Annotated[list[WebFileConfig], Field(min_length=1)]


class HubSource(FetchedSource):
    """A repository of the Hugging Face Hub; archives are unpacked."""

    kind: Literal["hub"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    repo_type: Literal["dataset", "model"] = "dataset"
    revision: str = "main"
    files: list[str] = Field(["*"], min_length=1)


class DriveSource(FetchedSource):
    """Files, or a folder, of Google Drive, by their ids; archives are unpacked."""

    kind: Literal["drive"]
    files: list[str] = Field([])
    folder: str | None = None

    @model_validator(mode="after")
    def _names_something(self) -> DriveSource:
        if bool(self.files) == bool(self.folder):
            raise ValueError("name either `files` or a `folder`")
        return self


class YoutubeSource(Section):
    """Clips of YouTube videos as VFHQ's metadata lists them, one text file per clip."""

    kind: Literal["youtube"]
    metadata: Path
    sample: Annotated[int, Field(ge=1)] | None = None
    parallel: Annotated[int, Field(ge=1, le=64)] = 4
    format: str = "bestvideo[height>=720]/bestvideo*"


Source = Annotated[
    PackageSource | FolderSource | WebSource | HubSource | DriveSource | YoutubeSource,
    Field(discriminator="kind"),
]


class DatasetConfig(Section):
    """One set of videos and what it is for."""

    role: Literal["train", "benchmark"]
    source: Source
    title: str
    licence: str
    credit: str
    degrade: bool = True
    frames: Annotated[int, Field(ge=1)] | None = None
    split_shots: bool = True
    max_clips: Annotated[int, Field(ge=1)] | None = None
    shards: Annotated[int, Field(ge=1)] | None = None
