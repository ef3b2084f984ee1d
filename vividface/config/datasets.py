"""The datasets, and the kinds of sources that their videos come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from vividface.config.fields import Section, key

_SHA256 = r"^[0-9a-f]{64}$"


class PackageMember(Section):
    """A file inside a package of the Python package registry; the package itself is never imported."""

    package: str = key("name of the package", "")
    version: str = key("version of the package", "")
    member: str = key("path of the file in the package", "")
    sha256: str = key("checksum of the file", "", pattern=_SHA256)
    person: str | None = key("name of who is seen; the file's own where null", "", default=None)


class PackageSource(Section):
    """Videos that are members of packages."""

    kind: Literal["package"] = key("kind of the source", "")
    members: list[PackageMember] = key("the files", "", min_length=1)


class FolderSource(Section):
    """A local folder of videos, searched recursively."""

    kind: Literal["folder"] = key("kind of the source", "")
    path: Path = key("the folder", "")
    pattern: str = key("pattern of the files' names", "", default="*")
    frames_fps: float | None = key(
        "frame rate of folders of frames, which are videos too where it is set", "", default=None, gt=0
    )


class PhotosSource(Section):
    """A local folder of photographs, searched recursively; each becomes a gently moving clip."""

    kind: Literal["photos"] = key("kind of the source", "")
    path: Path = key("the folder", "")
    pattern: str = key("pattern of the files' names", "", default="*")
    num_frames: int = key("frames of a clip", default=33, ge=2)
    fps: float = key("frame rate of the clips", default=25.0, gt=0)
    max_size: int = key("longer side above which a photograph is shrunk, px", default=1024, ge=64)


class WebFileConfig(Section):
    """A video or an archive of videos on the web; without `sha256` its checksum is recorded on first use."""

    url: str = key("address", "")
    sha256: str | None = key("checksum of the file", "", default=None, pattern=_SHA256)

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"{url!r} does not begin with https:// or http://")
        return url


class FetchedSource(Section):
    """What all sources on the web have in common."""

    pattern: str = key("pattern of the videos' names", "", default="*")
    max_parallel: int = key("connections at a time", default=4, ge=1, le=64, execution=True)
    max_unpacked_gb: float = key(
        "size above which an archive is not unpacked, GB", default=1000, gt=0, execution=True
    )
    frames_fps: float | None = key(
        "frame rate of folders of frames, which are videos too where it is set", "", default=None, gt=0
    )


class WebSource(FetchedSource):
    """Files on the web; archives are unpacked."""

    kind: Literal["url"] = key("kind of the source", "")
    files: list[WebFileConfig] = key("the files", "", min_length=1)


class HubSource(FetchedSource):
    """A repository of the Hugging Face Hub; archives are unpacked."""

    kind: Literal["hub"] = key("kind of the source", "")
    repo: str = key("repository, owner/name", "", pattern=r"^[\w.-]+/[\w.-]+$")
    repo_type: Literal["dataset", "model"] = key("kind of the repository", "", default="dataset")
    revision: str = key("branch, tag or commit; the commit is recorded on first use", "", default="main")
    files: list[str] = key("patterns of the files", "", default=["*"], min_length=1)


class DriveSource(FetchedSource):
    """Files, or a folder, of Google Drive, by their ids; archives are unpacked."""

    kind: Literal["drive"] = key("kind of the source", "")
    files: list[str] = key("ids of files", "", default=[])
    folder: str | None = key("id of a folder", "", default=None)

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if bool(self.files) == bool(self.folder):
            raise ValueError("name either `files` or a `folder`")
        return self


class YoutubeSource(Section):
    """Clips of YouTube videos as VFHQ's metadata lists them, one text file per clip."""

    kind: Literal["youtube"] = key("kind of the source", "")
    metadata: Path = key("folder of VFHQ's metadata", "")
    sample: int | None = key("clips sampled at random; null takes all", "section 4.1", default=None, ge=1)
    skip: int = key(
        "first clips of the sample's order that are left out, such as those of another dataset",
        default=0,
        ge=0,
    )
    max_parallel: int = key("videos at a time", default=4, ge=1, le=64, execution=True)
    format: str = key("yt-dlp's format", "", default="bestvideo[height>=720]/bestvideo*")


Source = Annotated[
    PackageSource | FolderSource | PhotosSource | WebSource | HubSource | DriveSource | YoutubeSource,
    Field(discriminator="kind"),
]

LqSource = Annotated[FolderSource | WebSource | HubSource | DriveSource, Field(discriminator="kind")]


class DatasetConfig(Section):
    """One set of videos and its role."""

    role: Literal["train", "benchmark"] = key("use of the dataset", "section 4.1")
    source: Source = key("origin of the videos", "section 4.1")
    title: str = key("name in the tables", "")
    licence: str = key("licence of the videos", "")
    credit: str = key("credit in the report", "")
    degrade: bool = key("whether clips are degraded here, and so have a ground truth", default=True)
    lq_source: LqSource | None = key(
        "origin of the degraded videos of a benchmark that is published with them; then `source` is their "
        "ground truth",
        default=None,
    )
    crop: bool = key(
        "whether the face is cropped out of the frames; a benchmark's may be taken whole, at their size",
        default=True,
    )
    num_frames: Annotated[int, Field(ge=1)] | Literal["whole"] | None = key(
        "frames of a clip; `whole` makes each video of a benchmark one clip, null takes clips.num_frames",
        default=None,
    )
    split_shots: bool = key("whether videos are split at their cuts", default=True)
    max_clips: int | None = key("clips sampled at random; null takes all", default=None, ge=1)
    candidates: bool = key(
        "whether clips are trained on only where they are selected, and so are not in the coarse set",
        default=False,
    )
    num_shards: int | None = key("shards of this dataset; null takes num_shards", "", default=None, ge=1)

    @property
    def has_reference(self) -> bool:
        """Whether its clips have a ground truth that restored ones are compared with."""
        return self.degrade or self.lq_source is not None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.role == "train":
            if self.lq_source is not None or not self.crop or self.num_frames == "whole":
                raise ValueError(
                    "`lq_source`, `crop: false` and `num_frames: whole` are for benchmarks: clips to train "
                    "on have one size and length, and are degraded here"
                )
        elif self.candidates:
            raise ValueError("`candidates` is for training datasets: a benchmark's clips are never selected")
        if self.lq_source is not None and (self.degrade or self.crop):
            raise ValueError("`lq_source` needs `degrade: false` and `crop: false`: both sides are published")
        if self.num_frames == "whole" and self.split_shots:
            raise ValueError("`num_frames: whole` needs `split_shots: false`: a whole video is one clip")
        return self
