"""The results of an enhancement: written part by part, so that a killed run can be resumed, then joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from errno import ENAMETOOLONG
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import av
import numpy as np

from vividface.errors import InputError
from vividface.files import remove_stale
from vividface.restoration.drawing import side_by_side
from vividface.restoration.encoders import CONTAINERS, Codec, VideoTrack, chosen_codec
from vividface.restoration.image_parts import FlatPart, ImagesPart, join_images, names_of
from vividface.restoration.image_source import AnimationSource, ImageSource
from vividface.restoration.image_writing import WRITABLE
from vividface.restoration.joining import Companions, join_video, plan_companions
from vividface.restoration.reading import WHOLE, Picture, Source, VideoSource
from vividface.restoration.transparency import with_alpha
from vividface.restoration.writing import OpenPart, Part, PartFolder, PartWriter, VideoPart

# Frames after which a part is closed: what a killed run has to do again at most.
_PART_FRAMES = 240


def result_size(source: Source, scale: float) -> tuple[int, int]:
    """Width and height of a source's result, px.

    Args:
        source: opened source.
        scale: size of the result over that of the source.
    """
    width, height = (max(round(side * scale), 1) for side in source.size)
    return width, height


def result_track(
    source: Source, *, scale: float, codec: Codec, quality: int | None
) -> tuple[VideoTrack, str]:
    """The video of a source's result, and a note where its codec is not the one asked for.

    Args:
        source: opened source.
        scale: size of the result over that of the source.
        codec: codec asked for.
        quality: rate factor; None takes the codec's default.
    """
    chosen, note = chosen_codec(codec, source.codec)
    size = result_size(source, scale)
    return VideoTrack(size=size, fps=source.fps, look=source.look, codec=chosen, quality=quality), note


def try_results(
    source: Source,
    paths: Sequence[Path],
    *,
    track: VideoTrack,
    overwrite: bool,
) -> dict[Path, Companions]:
    """Try what could fail when results are written: places, containers, headers.

    Args:
        source: opened source.
        paths: paths of the results.
        track: video of the results.
        overwrite: whether existing results may be replaced.

    Returns:
        what each video takes over of its source.

    Raises:
        InputError: a result exists, has an unsupported name, or cannot be written.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError(f"{paths[-1]}: is the result itself; give --compare another name")
    for path in paths:
        if _is_input(source, path):
            raise InputError(f"{path}: is the input itself; give another name")
        if path.exists() and not overwrite:
            raise InputError(f"{path}: exists already; give another name or add --overwrite")
        _require_no_loss(path)
        if not _is_images(source, path):
            _require_video(source, path, track)
        _require_place(path)
    return {
        path: plan_companions(source.path, path, track)
        for path in paths
        if isinstance(source, VideoSource) and not _is_images(source, path)
    }


def _require_video(source: Source, path: Path, track: VideoTrack) -> None:
    """Raise `InputError` unless a result's name is a video's that holds the track."""
    is_image = isinstance(source, ImageSource) and source.num_frames == 1
    if is_image and path.suffix.lower() not in CONTAINERS:
        raise InputError(
            f"{path}: unsupported format; use {', '.join(sorted(WRITABLE))}, or a video's: "
            f"{', '.join(sorted(CONTAINERS))}"
        )
    track.require_fitting(path)


def _is_input(source: Source, path: Path) -> bool:
    """Whether a result would replace its input: the file, or the folder of its images."""
    inputs = {source.path.resolve()}
    if isinstance(source, ImageSource):
        inputs |= {place for file in source.files for place in (file.resolve(), file.resolve().parent)}
    return path.resolve() in inputs


def _require_no_loss(path: Path) -> None:
    """Raise `InputError` where a result would replace a folder that holds more than such a result."""
    if path.name in ("", ".."):
        raise InputError(f"{path}: is no name of a result; give the file, or the folder of images, a name")
    if path.is_dir() and not all(file.is_file() and file.suffix == ".png" for file in path.iterdir()):
        raise InputError(
            f"{path}: is a folder with more than PNG images in it, which stays; give another name"
        )


def _require_place(path: Path) -> None:
    """Raise `InputError` where no file can be written beside a path."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # With what is added to its name while it is written.
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".partial"):
            pass
    except OSError as error:
        advice = "shorten the result's name" if error.errno == ENAMETOOLONG else "choose another folder"
        raise InputError(f"{path.parent}: cannot be written to ({error.strerror}); {advice}") from None


def _is_images(source: Source, path: Path) -> bool:
    """Whether a result is an image, or a folder of them."""
    if not isinstance(source, ImageSource):
        return False
    return (source.num_frames == 1 and path.suffix.lower() in WRITABLE) or not path.suffix


class Results:
    """The results of one source: the enhanced video or images, and the comparison if there is one.

    Args:
        source: opened source.
        output: path of the enhanced video or images.
        compare: path of input and result side by side; None writes none.
        track: video of the result, if it is one.
        settings: fingerprint of the run; another run's parts are not used.
        remark: sentence that videos get as a comment, behind the source's.

    Attributes:
        parts: complete parts, those of an earlier run included.
    """

    def __init__(
        self,
        source: Source,
        output: Path,
        *,
        compare: Path | None,
        track: VideoTrack,
        settings: dict[str, Any],
        remark: str = "",
    ) -> None:
        self._source, self._output, self._compare = source, output, compare
        self._paths = [output] if compare is None else [output, compare]
        self._track, self._remark = track, remark
        self._companions: dict[Path, Companions] = {}
        self._folder = PartFolder(output, settings)
        self._open: OpenPart | None = None
        self.parts: list[Part] = []

    def begin(self, *, overwrite: bool, resume: bool) -> None:
        """Check the paths, and take over the parts of an earlier run.

        Args:
            overwrite: whether existing results may be replaced, and an interrupted run discarded.
            resume: whether an interrupted run is resumed.

        Raises:
            InputError: a result exists, has an unsupported name, cannot be written there or not to its
                container, or an interrupted run does not fit.
        """
        self._companions = try_results(self._source, self._paths, track=self._track, overwrite=overwrite)
        for path in self._paths:
            remove_stale(path)
        if self._folder.exists() and resume:
            self.parts = self._folder.resume()
        elif self._folder.exists() and not overwrite:
            raise InputError(
                f"{self._folder.path}: an interrupted run left it; add --resume to resume it, or "
                "--overwrite to begin anew"
            )
        else:
            self._folder.begin()

    @property
    def num_frames(self) -> int:
        """The number of frames in complete parts."""
        return sum(len(part.times) for part in self.parts)

    @property
    def num_faces(self) -> int:
        """The number of frames in complete parts in which a face was restored."""
        return sum(part.num_faces for part in self.parts)

    @property
    def num_left(self) -> dict[str, int]:
        """The number of frames in complete parts in which a face was left alone, by the reason."""
        return dict(sum((Counter(part.num_left) for part in self.parts), Counter()))

    @property
    def resume_at(self) -> int:
        """The index of the source's frame from which restoration resumes behind the complete parts."""
        return self.parts[-1].resume_at if self.parts else 0

    @property
    def skip(self) -> int:
        """The number of frames from `resume_at` on that are in complete parts already."""
        return self.parts[-1].skip if self.parts else 0

    @property
    def people(self) -> dict[str, Any]:
        """The state of `People` at `resume_at`; empty where there is none."""
        return self.parts[-1].people if self.parts else {}

    def write(
        self,
        frame: np.ndarray,
        original: np.ndarray,
        *,
        picture: Picture,
        has_face: bool,
        left: Collection[str] = (),
    ) -> None:
        """Append a frame, with the picture's transparency; see `OpenPart.write`."""
        frame, original = with_alpha(frame, picture), with_alpha(original, picture)
        if self._open is None:
            self._open = self._new_part(original)
        self._open.write(frame, original, picture=picture, has_face=has_face, left=left)

    def end_window(self, *, resume_at: int, skip: int, people: dict[str, Any]) -> None:
        """Close the part that is being written if it is long enough.

        Args:
            resume_at: index of the source's frame from which restoration resumes behind this window.
            skip: number of frames from there on that are written already.
            people: state of `People` there.
        """
        if self._open is not None and len(self._open.times) >= _PART_FRAMES:
            self._close_part(resume_at=resume_at, skip=skip, people=people)

    def end(self, *, people: dict[str, Any]) -> None:
        """Close the last part, with the last state of `People`."""
        if self._open is not None:
            num_frames = self.num_frames + len(self._open.times)
            self._close_part(resume_at=num_frames, skip=0, people=people)

    def interrupt(self) -> str:
        """Make a playable file of what is written; returns what to tell the user."""
        unfinished = []
        if self._open is not None and self._open.times:
            self._open.close()
            unfinished = [self._open.part(resume_at=0, skip=0, people={})]
        parts = [*self.parts, *unfinished]
        again = "the same command with --resume resumes it"
        if not parts or _is_images(self._source, self._output):
            return f"interrupted after {self.num_frames} frames; {again}"
        path = self._partial_output()
        pieces = self._pieces("video", parts)
        self._join_video(path, pieces, whole=False)
        num_frames = sum(len(part.times) for part in parts)
        return f"interrupted: the first {num_frames} frames are in {path}; {again}"

    def abandon(self) -> None:
        """Leave complete parts for a later run, or nothing if there are none."""
        if self._open is not None:
            with suppress(av.FFmpegError, OSError):
                self._open.close()
        if not self.parts:
            self.remove()

    def join(self) -> list[str]:
        """Join the parts to the results; returns sentences about what could not be kept as it was."""
        notes: list[str] = []
        for name, path in (("compare", self._compare), ("video", self._output)):
            if path is None:
                continue
            pieces = self._pieces(name, self.parts)
            if _is_images(self._source, path):
                join_images(path, [piece for piece, _ in pieces])
            else:
                notes = self._join_video(path, pieces)
        self.remove()
        self._partial_output().unlink(missing_ok=True)
        companions = self._companions.get(self._output)
        if companions is not None:
            notes = [*companions.notes, *notes]
        if isinstance(self._source, (AnimationSource, ImageSource)):
            notes = [*self._source.losses(self._output), *notes]
        return notes

    def remove(self) -> None:
        """Remove all parts."""
        self._folder.remove()

    def _new_part(self, sample: np.ndarray) -> OpenPart:
        writers = [self._writer("video", self._output, self._track.size)]
        if self._compare is not None:
            height, width = side_by_side(sample, sample, titles=("", "")).shape[:2]
            writers.append(self._writer("compare", self._compare, (width, height)))
        return OpenPart(writers)

    def _writer(self, name: str, path: Path, size: tuple[int, int]) -> PartWriter:
        index = len(self.parts)
        if _is_images(self._source, path):
            assert isinstance(self._source, ImageSource)
            files = self._source.files
            names = [path.name] if path.suffix else names_of(files)
            pairs = zip(names[self.num_frames :], files[self.num_frames :], strict=True)
            return ImagesPart(self._folder.file(index, name, ""), pairs)
        file = self._folder.file(index, name, ".mkv")
        video = VideoPart(file, replace(self._track, size=size))
        return video if isinstance(self._source, VideoSource) else FlatPart(video)

    def _close_part(self, *, resume_at: int, skip: int, people: dict[str, Any]) -> None:
        assert self._open is not None
        self._open.close()
        part = self._open.part(resume_at=resume_at, skip=skip, people=people)
        self._folder.finish(len(self.parts), part)
        self.parts.append(part)
        self._open = None

    def _pieces(self, name: str, parts: list[Part]) -> list[tuple[Path, Part]]:
        """The parts' files of one result, `video` or `compare`."""
        path = self._output if name == "video" else self._compare
        assert path is not None
        suffix = "" if _is_images(self._source, path) else ".mkv"
        return [(self._folder.file(index, name, suffix), part) for index, part in enumerate(parts)]

    def _join_video(self, path: Path, pieces: list[tuple[Path, Part]], *, whole: bool = True) -> list[str]:
        companions = self._companions.get(path if whole else self._output)
        return join_video(
            path,
            pieces,
            time_base=self._source.time_base,
            track=self._track,
            companions=companions,
            remark=self._remark,
            whole=whole,
            excerpt=self._source.excerpt != WHOLE,
        )

    def _partial_output(self) -> Path:
        return self._output.with_name(f"{self._output.stem}.part{self._output.suffix}")
