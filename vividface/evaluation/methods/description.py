"""What a published method is: its code, weights, environment and command, and what it reads and writes."""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from vividface.files import digest
from vividface.weights.licences import Licence

_SHA256 = r"^[0-9a-f]{64}$"
_FUNCTION = r"^\w+(\.\w+)*:\w+(\.\w+)?$"
# What a command, and the place of a result, may name.
_OF_A_CLIP = ("name", "fps", "num_frames", "width", "height")
_PLACES = ("source", "weights")
PLACEHOLDERS = frozenset({"input", "output", *_OF_A_CLIP, *_PLACES})


class _Part(BaseModel):
    """A part of a description: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _inside(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path!r} is not inside the checkout")
    return path


def _known_placeholders(text: str, known: Collection[str] = PLACEHOLDERS) -> str:
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if unknown := sorted(names.difference(known)):
        raise ValueError(f"{text!r}: there is no placeholder {{{unknown[0]}}}")
    return text


def script_place(command: Sequence[str]) -> int | None:
    """The place of a script of Python in a command line, behind the program that runs it; or None."""
    return next((place for place, word in enumerate(command) if place and word.endswith(".py")), None)


def _compiling(pattern: str) -> str:
    try:
        num_groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r}: {error}") from None
    if num_groups != 1:
        raise ValueError(f"{pattern!r}: needs one group, the number of seconds")
    return pattern


class WebWeights(_Part):
    """A file on the web.

    Attributes:
        kind: kind of the weights.
        url: address.
        sha256: checksum; None records it on first use.
        path: path of the file in the checkout.
    """

    kind: Literal["url"]
    url: str = Field(pattern=r"^https?://")
    sha256: str | None = Field(default=None, pattern=_SHA256)
    path: str


class HubWeights(_Part):
    """Files of a repository of the Hugging Face Hub; the commit is recorded on first use.

    Attributes:
        kind: kind of the weights.
        repo: name of the repository, owner/name.
        revision: branch, tag or commit.
        patterns: patterns of the files' names.
        path: path of the folder in the checkout; files keep their names in the repository.
    """

    kind: Literal["hub"]
    repo: str
    revision: str = "main"
    patterns: list[str] = ["*"]
    path: str


class HandWeights(_Part):
    """A file that no program can fetch: it needs an account, or a person at a browser.

    Attributes:
        kind: kind of the weights.
        page: address of the page that has it.
        file: name of the file on that page.
        sha256: checksum; None records it on first use.
        path: path of the file or folder in the checkout.
    """

    kind: Literal["hand"]
    page: str
    file: str
    sha256: str | None = Field(default=None, pattern=_SHA256)
    path: str


Weights = Annotated[WebWeights | HubWeights | HandWeights, Field(discriminator="kind")]


class Patch(_Part):
    """A few changed lines of the method's code.

    Attributes:
        why: reason for the change, a sentence.
        diff: unified diff, paths relative to the checkout with `a/` and `b/`.
    """

    why: str
    diff: str

    @field_validator("diff")
    @classmethod
    def _hunks_are_whole(cls, diff: str) -> str:
        # git says so too, but only after the code has been fetched.
        for hunk in re.split(r"^(?=@@ )", diff, flags=re.MULTILINE)[1:]:
            header, *lines = re.split(r"^--- ", hunk, flags=re.MULTILINE)[0].splitlines()
            found = [sum(line[:1] not in other for line in lines) for other in (("+", "\\"), ("-", "\\"))]
            if found != [int(count or 1) for count in re.findall(r"[-+]\d+(?:,(\d+))?", header)[:2]]:
                raise ValueError(
                    f"the hunk {header!r} has other numbers of lines than it says; YAML drops empty lines at "
                    "the end, so give it another line of context"
                )
        return diff


class Environment(_Part):
    """What the method's code needs.

    Attributes:
        python: version of Python, `3.8`.
        packages: lines of pip's requirements; one may be an option such as `--extra-index-url ...`.
        conda: packages of conda-forge that pip has not; the environment is then made by conda.
        setup: commands that are run in the checkout afterwards.
        variables: environment variables of every command; they may name {source} and {weights}.
    """

    python: str = Field(pattern=r"^3\.\d+$")
    packages: list[str]
    conda: list[str] = []
    setup: list[list[str]] = []
    variables: dict[str, str] = {}

    @field_validator("variables")
    @classmethod
    def _placeholders_are_places(cls, variables: dict[str, str]) -> dict[str, str]:
        for value in variables.values():
            _known_placeholders(value, _PLACES)
        return variables


class Input(_Part):
    """What a command reads.

    Attributes:
        kind: `video`: one video a run; `frames`: one folder of frames a run; `videos`: a folder of videos;
            `frame_folders`: a folder of folders of frames. The last two take all clips in one run.
        codec: codec of the videos, lossless: `ffv1` in .mkv, or `h264_rgb` in .mp4 for what reads no .mkv.
        frame_name: name of a frame, by its number from 0.
        size: what the frames are resized to (area): `keep`; `square_512`; `quarter`, for a network that
            enlarges four times.
        multiple: number of px that both sides are brought to a multiple of, by repeating the last row and
            column, which are cut off the result.
        protocol: `whole` frames, or `aligned` faces of 512 px, cropped and pasted back as KEEP does.
    """

    kind: Literal["video", "frames", "videos", "frame_folders"]
    codec: Literal["ffv1", "h264_rgb"] = "ffv1"
    frame_name: str = "%08d.png"
    size: Literal["keep", "square_512", "quarter"] = "keep"
    multiple: int = Field(default=1, ge=1)
    protocol: Literal["whole", "aligned"] = "whole"

    @property
    def takes_all(self) -> bool:
        """Whether one run takes all clips."""
        return self.kind in ("videos", "frame_folders")

    @property
    def is_video(self) -> bool:
        """Whether clips are given as video files."""
        return self.kind in ("video", "videos")


class Frames(_Part):
    """How many frames a run may have: shorter pieces are padded by repeating the last, then trimmed.

    Attributes:
        minimum: smallest number.
        maximum: largest number; longer clips are cut into pieces. None takes clips of any length.
        multiple: number m of m k + remainder.
        remainder: number of frames above a multiple.
        lost: number of frames that the method drops at the end.
    """

    minimum: int = Field(default=1, ge=1)
    maximum: int | None = Field(default=None, ge=1)
    multiple: int = Field(default=1, ge=1)
    remainder: int = Field(default=0, ge=0)
    lost: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _satisfiable(self) -> Self:
        if self.remainder >= self.multiple:
            raise ValueError("frames.remainder: has to be below frames.multiple")
        if self.maximum is not None and self.padded(1) > self.maximum:
            raise ValueError("frames.maximum: no number of frames satisfies all of `frames`")
        return self

    def padded(self, num_frames: int) -> int:
        """The smallest number of frames that a run may have which restores this many."""
        least = max(num_frames + self.lost, self.minimum)
        return least + (self.remainder - least) % self.multiple

    def pieces(self, num_frames: int) -> list[tuple[int, int]]:
        """First frame and frame behind the last of each piece of a clip."""
        longest = num_frames if self.maximum is None else self._longest(self.maximum)
        return [(start, min(start + longest, num_frames)) for start in range(0, num_frames, longest)]

    def _longest(self, maximum: int) -> int:
        return max(n for n in range(1, maximum + 1) if self.padded(n) <= maximum)


class Output(_Part):
    """Where the result of a clip comes out.

    Attributes:
        kind: `frames` or `video`.
        path: pattern of the frames, or of the video, with placeholders; relative to the checkout or absolute.
        size: `same` as what was given, or `any`, which is resized to the clip's (area): an enlarging network.
    """

    kind: Literal["frames", "video"]
    path: str
    size: Literal["same", "any"] = "same"

    @field_validator("path")
    @classmethod
    def _placeholders_are_known(cls, path: str) -> str:
        return _known_placeholders(path)


class PublishedMethod(_Part):
    """A method that others published, as data.

    Attributes:
        title: its name, as the paper prints it.
        paper: where it was published.
        repository: address of its git repository.
        commit: commit that is run.
        submodules: whether its submodules are checked out too.
        licences: licences of its code and weights.
        tables: numbers of the paper's tables in which it stands.
        num_steps: number of diffusion steps; 0 for a method without diffusion.
        needs_gpu: whether it runs on a GPU alone.
        environment: what its code needs.
        weights: files that it reads.
        patches: changed lines of its code.
        input: what it reads.
        frames: numbers of frames that it takes.
        commands: command lines, run one after the other.
        folder: folder of the checkout that they run in.
        parses_arguments: whether the command's script reads its arguments with argparse, so that
            `vividface methods check` can try them.
        timed: functions `module:function` or `module:Class.method` of a program in Python whose calls are the
            model alone, without loading, reading and writing; `__main__` is the script's own module. Their
            seconds are added; a call within another counts once.
        seconds: pattern of the seconds of the model alone in what it prints, with one group; all matches are
            added. Without it, and without `timed`, the whole program is timed.
        output: where its results come out.
        known_faults: faults of its code that move its figures, a sentence each.
    """

    title: str
    paper: str
    repository: str
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    submodules: bool = False
    licences: list[Licence] = Field(min_length=1)
    tables: list[Annotated[int, Field(ge=1, le=7)]]
    num_steps: int = Field(ge=0)
    needs_gpu: bool
    environment: Environment
    weights: list[Weights]
    patches: list[Patch] = []
    input: Input
    frames: Frames = Frames()
    commands: list[Annotated[list[str], Field(min_length=1)]] = Field(min_length=1)
    folder: str = ""
    parses_arguments: bool = True
    timed: list[Annotated[str, Field(pattern=_FUNCTION)]] = []
    seconds: str = ""
    output: Output
    known_faults: list[str] = []

    @field_validator("seconds")
    @classmethod
    def _seconds_compile(cls, pattern: str) -> str:
        return _compiling(pattern) if pattern else pattern

    @field_validator("commands")
    @classmethod
    def _placeholders_are_known(cls, commands: list[list[str]]) -> list[list[str]]:
        for word in (word for command in commands for word in command):
            _known_placeholders(word)
        return commands

    @field_validator("weights")
    @classmethod
    def _weights_are_inside(cls, weights: list[Any]) -> list[Any]:
        for file in weights:
            _inside(file.path)
        return weights

    @field_validator("weights")
    @classmethod
    def _weights_are_apart(cls, weights: list[Any]) -> list[Any]:
        # Of a folder that is seen in the checkout as one link, nothing can be linked to another place.
        paths = sorted((PurePosixPath(file.path) for file in weights), key=lambda path: path.parts)
        for outer, inner in itertools.pairwise(paths):
            if inner.is_relative_to(outer):
                raise ValueError(f"{str(inner)!r} lies in {str(outer)!r}, which is other weights")
        return weights

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.input.protocol == "aligned" and self.input.takes_all:
            raise ValueError("input.protocol: aligned faces go clip by clip, to kind `video` or `frames`")
        words = [word for command in self.commands for word in command]
        if self.input.takes_all and any(f"{{{name}}}" in word for word in words for name in _OF_A_CLIP):
            raise ValueError(
                f"commands: one run takes all clips, so that {{{'}, {'.join(_OF_A_CLIP)}}} say nothing"
            )
        if self.timed and self.seconds:
            raise ValueError(
                "timed: the program prints its time by itself, as `seconds` says; give one of them"
            )
        if self.timed and not any(script_place(command) for command in self.commands):
            raise ValueError("timed: no command runs a script of Python, a word that ends in .py")
        return self

    @property
    def source_fingerprint(self) -> str:
        """What tells the patched code from another."""
        patches = [patch.diff for patch in self.patches]
        return digest([self.repository, self.commit, self.submodules, patches])

    @property
    def environment_fingerprint(self) -> str:
        """What tells the environment from another; commands of its set-up use the code."""
        return digest(
            [self.environment.model_dump(), self.source_fingerprint if self.environment.setup else ""]
        )

    @property
    def fingerprint(self) -> str:
        """What tells all that decides its results from another."""
        words = ("title", "paper", "licences", "tables", "known_faults", "parses_arguments")
        return digest(self.model_dump(exclude=set(words)))

    def to_accept(self) -> Iterator[Licence]:
        """The licences that a user has to accept."""
        yield from (licence for licence in self.licences if licence.accept)
