"""Enhancing a video of any length and kind, in constant memory, so that a killed run can go on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from tqdm import tqdm

from vividface.config import RestorationConfig
from vividface.data.shots import CutDetector
from vividface.errors import InputError
from vividface.faces.backend import Face, FaceBackend
from vividface.restoration.colour import correct
from vividface.restoration.paste import Frame, restore_faces
from vividface.restoration.reading import IMAGES, ImageSource, Picture, Source, VideoSource
from vividface.restoration.windows import Restored, restore_windows
from vividface.restoration.writing import (
    ImagesPart,
    Part,
    PartFolder,
    PartWriter,
    VideoPart,
    join_images,
    join_video,
    require_container,
)
from vividface.video import batched, eight_bits

Restore = Callable[[np.ndarray], np.ndarray]

# Frames after which a part is closed: what a killed run has to do again at most.
_PART_FRAMES = 240
# Frames in which faces are looked for at once.
_BATCH = 8
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


@dataclass(frozen=True)
class Model:
    """What restores.

    Attributes:
        restore: maps frames (F, H, W, 3) uint8 or uint16 to the same shape and type.
        size: px, side of a face's crop in the mode `full`.
        faces: finds them; None restores whole frames (the mode `crop`).
        identity: what distinguishes it from another model, for an interrupted run.
    """

    restore: Restore
    size: int
    faces: FaceBackend | None
    identity: dict[str, Any]


@dataclass(frozen=True)
class Enhanced:
    """What was done.

    Attributes:
        output: the result.
        frames: in it.
        faces: pictures in which a face was restored; None in the mode `crop`.
        seconds: that this run took.
        restored: frames that this run restored; the others were there from an earlier one.
        problem: why the result is not the whole input; empty if it is.
        notes: what could not be kept as it was.
    """

    output: Path
    frames: int
    faces: int | None
    seconds: float
    restored: int
    problem: str = ""
    notes: list[str] = field(default_factory=list)


class Interrupted(KeyboardInterrupt):
    """The user stopped the run; the message says what is there and how to go on."""


def enhance(
    source: Source,
    output: Path,
    model: Model,
    config: RestorationConfig,
    compare: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = True,
) -> Enhanced:
    """Enhance a video, a folder of frames, or an image.

    Args:
        source: what is enhanced.
        output: a video; or, of images, a video, an image or a folder of images. Sound, time stamps, rotation
            and colours of a video are kept.
        model: what restores.
        config: windows, cuts, faces and colours.
        compare: also written: the input beside the result.
        overwrite: whether existing results may be replaced, and an interrupted run thrown away.
        resume: whether an interrupted run is continued.
        progress: whether a progress bar is shown.

    Raises:
        InputError: an output exists or cannot be written, no face is found, or memory does not suffice.
        Interrupted: on Ctrl-C.
    """
    started = time.monotonic()
    run = _Run(source, output, model, config, compare)
    done = run.begin(overwrite, resume)
    bar = tqdm(total=source.count, initial=done, desc=output.name, unit="frame", disable=not progress)
    with bar:
        try:
            for count in run.restored():
                bar.update(count)
        except KeyboardInterrupt:
            raise Interrupted(run.interrupt()) from None
        except BaseException as error:
            run.abandon()
            if explained := _explained(error, run):
                raise explained from error
            raise
        return run.finish(started, done)


class _Run:
    """One video on its way through the model."""

    def __init__(
        self, source: Source, output: Path, model: Model, config: RestorationConfig, compare: Path | None
    ) -> None:
        self.source, self.output, self.model, self.config, self.compare = (
            source,
            output,
            model,
            config,
            compare,
        )
        width, height = (max(round(side * config.scale), 1) for side in source.size)
        self._size = (width, height)
        settings = {"source": source.identity(), "model": model.identity, "compare": str(compare or "")}
        mode = {"mode": "crop" if model.faces is None else "full"}
        self.folder = PartFolder(output, settings | mode | config.model_dump(mode="json"))
        self.parts: list[Part] = []
        self._waiting: deque[Frame] = deque()
        self._times: deque[Picture] = deque()
        self._touched: deque[bool] = deque()
        self._open: _OpenPart | None = None

    def begin(self, overwrite: bool, resume: bool) -> int:
        """Check the outputs and look for an earlier run; returns the number of frames that are done."""
        for path in [self.output] if self.compare is None else [self.output, self.compare]:
            if path.resolve() == self.source.path.resolve():
                raise InputError(f"{path}: is the input itself; give another name")
            if path.exists() and not overwrite:
                raise InputError(f"{path}: exists already; give another name or add --overwrite")
            if not self._is_images(path):
                require_container(path)
        if self.folder.exists() and resume:
            self.parts = self.folder.resume()
        elif self.folder.exists() and not overwrite:
            raise InputError(
                f"{self.folder.path}: an interrupted run left it; add --resume to go on with it, or "
                "--overwrite to begin anew"
            )
        else:
            self.folder.begin()
        return self.frames

    @property
    def frames(self) -> int:
        """In whole parts."""
        return sum(len(part.times) for part in self.parts)

    def restored(self) -> Iterator[int]:
        """Restore what is left; yields the number of frames that are done after each window."""
        config = self.config
        first, skip = (self.parts[-1].resume_at, self.parts[-1].skip) if self.parts else (0, 0)
        windows = restore_windows(
            self._prepared(self.source.pictures(first)),
            self._restore,
            config.window,
            config.overlap,
            lambda item: item[1],
            first,
        )
        for window in windows:
            dropped = min(skip, len(window.frames))
            skip -= dropped
            for index, pixels in enumerate(window.frames):
                frame, picture = self._waiting.popleft(), self._times.popleft()
                touched = self._touched.popleft()
                if index >= dropped:
                    self._write(pixels, frame.pixels, picture, touched)
            if self._open is not None and len(self._open.times) >= _PART_FRAMES:
                self._close_part(window)
            yield len(window.frames) - dropped
        if self._open is not None:
            self._close_part(Restored([], self.source.count, 0))

    def interrupt(self) -> str:
        """Make a playable file of what is done; returns what to tell the user."""
        extra = []
        if self._open is not None and self._open.times:
            self._open.close()
            extra = [self._open.part(0, 0)]
        parts = [*self.parts, *extra]
        again = "the same command with --resume goes on"
        if not parts or self._is_images(self.output):
            return f"interrupted after {self.frames} frames; {again}"
        path = self._partial_output()
        join_video(path, self._pieces("video", parts), self.source.time_base, self._sound(), whole=False)
        frames = sum(len(part.times) for part in parts)
        return f"interrupted: the first {frames} frames are in {path}; {again}"

    def abandon(self) -> None:
        """Leave whole parts for a later run, or nothing if there are none."""
        if self._open is not None:
            with suppress(av.FFmpegError, OSError):
                self._open.close()
        if not self.parts:
            self.folder.remove()

    def finish(self, started: float, done: int) -> Enhanced:
        """Join the parts."""
        faces = None if self.model.faces is None else sum(part.faces for part in self.parts)
        if not self.parts:
            self.folder.remove()
            raise InputError(f"{self.source.path}: no frame of it can be read; get the file again")
        if faces == 0:
            self.folder.remove()
            raise InputError(
                f"{self.source.path}: no face was found in {self.frames} frames; if the frames are crops of "
                "a face use --mode crop, if faces are very small lower --min-face or add --scale 2"
            )
        notes: list[str] = []
        for name, path in (("compare", self.compare), ("video", self.output)):
            if path is None:
                continue
            pieces = self._pieces(name, self.parts)
            if self._is_images(path):
                join_images(path, [piece for piece, _ in pieces])
            else:
                notes = join_video(path, pieces, self.source.time_base, self._sound())
        frames = self.frames
        self.folder.remove()
        self._partial_output().unlink(missing_ok=True)
        seconds = time.monotonic() - started
        return Enhanced(self.output, frames, faces, seconds, frames - done, self.source.problem, notes)

    def _prepared(self, pictures: Iterable[Picture]) -> Iterator[tuple[Frame, bool]]:
        """Frames at their final size, with their faces, and whether each starts a shot."""
        cuts = CutDetector(self.config.cut_threshold) if self.config.cut_threshold else None
        for batch in batched(pictures, _BATCH if self.model.faces is not None else 1):
            sized = [self._scaled(picture.pixels) for picture in batch]
            eight = [eight_bits(pixels) for pixels in sized]
            faces: list[list[Face]] = [[] for _ in batch]
            if self.model.faces is not None:
                faces = self.model.faces.detect(eight)
            for picture, pixels, small, found in zip(batch, sized, eight, faces, strict=True):
                frame = Frame(pixels, found)
                self._waiting.append(frame)
                self._times.append(picture)
                yield frame, cuts is not None and cuts.starts_shot(small)

    def _restore(self, items: Sequence[tuple[Frame, bool]]) -> list[np.ndarray]:
        frames = [frame for frame, _ in items]
        if self.model.faces is None:
            self._mark([False] * len(frames))
            return list(self._corrected(np.stack([frame.pixels for frame in frames])))
        config = self.config
        pasted = restore_faces(
            frames, self._corrected, self.model.faces, self.model.size, config.margin, config.min_face
        )
        self._mark(pasted.with_face)
        return pasted.frames

    def _mark(self, with_face: list[bool]) -> None:
        """Remember which of a window's frames have faces; the first of them were in the window before."""
        known = len(self._touched)
        for index, touched in enumerate(with_face):
            if index < known:
                self._touched[index] |= touched
            else:
                self._touched.append(touched)

    def _corrected(self, frames: np.ndarray) -> np.ndarray:
        return correct(self.model.restore(frames), frames, self.config.colour)

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[1::-1] == self._size:
            return pixels
        smaller = self.config.scale < 1
        interpolation = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(pixels, self._size, interpolation=interpolation))

    def _write(self, pixels: np.ndarray, original: np.ndarray, picture: Picture, touched: bool) -> None:
        if self._open is None:
            self._open = self._new_part(original)
        self._open.write(pixels, original, picture, touched)

    def _new_part(self, sample: np.ndarray) -> _OpenPart:
        index = len(self.parts)
        writers = [self._writer(index, "video", self.output, self._size)]
        if self.compare is not None:
            pair = side_by_side(sample, sample, ("", ""))
            writers.append(self._writer(index, "compare", self.compare, (pair.shape[1], pair.shape[0])))
        return _OpenPart(writers)

    def _writer(self, index: int, name: str, path: Path, size: tuple[int, int]) -> PartWriter:
        if self._is_images(path):
            return ImagesPart(self.folder.file(index, name, ""), self._image_names(path))
        return VideoPart(self.folder.file(index, name, ".mkv"), size, self.source.rate, self.source.look)

    def _image_names(self, path: Path) -> Iterator[str]:
        assert isinstance(self.source, ImageSource)
        if path.suffix:
            return iter([path.name])
        return iter([f"{file.stem}.png" for file in self.source.files[self.frames :]])

    def _close_part(self, window: Restored) -> None:
        assert self._open is not None
        self._open.close()
        part = self._open.part(window.resume_at, window.skip)
        self.folder.finish(len(self.parts), part)
        self.parts.append(part)
        self._open = None

    def _pieces(self, name: str, parts: list[Part]) -> list[tuple[Path, Part]]:
        path = self.output if name == "video" else self.compare
        assert path is not None
        suffix = "" if self._is_images(path) else ".mkv"
        return [(self.folder.file(index, name, suffix), part) for index, part in enumerate(parts)]

    def _is_images(self, path: Path) -> bool:
        """Whether the result is an image, or a folder of them."""
        if not isinstance(self.source, ImageSource):
            return False
        single = self.source.count == 1 and path.suffix.lower() in IMAGES
        return single or not path.suffix

    def _sound(self) -> Path | None:
        return self.source.path if isinstance(self.source, VideoSource) else None

    def _partial_output(self) -> Path:
        return self.output.with_name(f"{self.output.stem}.part{self.output.suffix}")


class _OpenPart:
    """The part that is being written."""

    def __init__(self, writers: list[PartWriter]) -> None:
        self._writers = writers
        self._faces = 0
        self.times: list[int] = []
        self._durations: list[int] = []

    def write(self, pixels: np.ndarray, original: np.ndarray, picture: Picture, touched: bool) -> None:
        self._writers[0].write(pixels)
        for writer in self._writers[1:]:
            writer.write(side_by_side(original, pixels, ("input", "enhanced")))
        self.times.append(picture.time)
        self._durations.append(picture.duration)
        self._faces += touched

    def close(self) -> None:
        with ExitStack() as stack:
            for writer in self._writers:
                stack.callback(writer.close)

    def part(self, resume_at: int, skip: int) -> Part:
        return Part(self._faces, resume_at, skip, self.times, self._durations)


def side_by_side(left: np.ndarray, right: np.ndarray, titles: tuple[str, str]) -> np.ndarray:
    """Two frames (H, W, 3) next to each other, enlarged to at least 256 px high, with their titles; uint8."""
    factor = max(1, -(-256 // left.shape[0]))
    panels = []
    for frame, title in zip((left, right), titles, strict=True):
        panel = cv2.resize(eight_bits(frame), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(panel, title, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA)
        panels.append(panel)
    return np.concatenate(panels, axis=1)


def _explained(error: BaseException, run: _Run) -> InputError | None:
    """An error of the machine as one that says what to do; None for others."""
    kept = f"; {run.frames} frames are done, --resume goes on from there" if run.parts else ""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _NO_MEMORY)
    ):
        width, height = run.source.size
        return InputError(
            f"{run.source.path}: there is not enough memory for windows of {run.config.window} frames of "
            f"{width}x{height}; lower --window (and --size or --scale), or use --dtype bf16{kept}"
        )
    if isinstance(error, OSError):
        return InputError(
            f"{run.output}: cannot be written ({error.strerror or error}); free or choose another disk{kept}"
        )
    return None
