"""The sources of an enhancement: what they have in common, and videos with their timing and colours."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import av
import cv2
import numpy as np

from vividface.errors import InputError
from vividface.restoration.decoding import decoded_frames, deinterlaced
from vividface.restoration.grid import even_grid
from vividface.restoration.look import Look, look_of, to_rgb
from vividface.restoration.planes import has_transparency
from vividface.video import film_stream, is_truncated, open_video, probe

# Frames that are looked at to tell whether a video is interlaced.
_FIRST_FRAMES = 8

Deinterlacing = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class Picture:
    """A frame as it was read, and when it is shown.

    Attributes:
        pixels: frame (H, W, 3), upright, RGB, uint8, or uint16 where the source has more than 8 bits.
        time: time of its presentation, in units of the source's time base.
        duration: duration in the same units; 0 where the source does not say.
        stored: the frame as it was decoded, which the result takes over where nothing is changed; None where
            its pixels are not those of the file.
        alpha: alpha (H, W) of the pixels' type, or None.
    """

    pixels: np.ndarray
    time: int
    duration: int
    stored: av.VideoFrame | None = None
    alpha: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """A part of a source; times count from its first picture.

    Attributes:
        start: time whose picture is the first, s.
        end: time at which the last picture has begun, s; None: the source's end.
        num_frames: largest number of pictures; None: any.

    Raises:
        InputError: the part is empty.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    num_frames: int | None = None

    def __post_init__(self) -> None:
        if self.end is not None and self.end <= self.start:
            raise InputError(f"--end {float(self.end):g}: is not after --start {float(self.start):g} (s)")
        if self.num_frames is not None and self.num_frames < 1:
            raise InputError(f"--frames {self.num_frames}: is not positive")

    def is_over(self, time: Fraction, num_frames: int) -> bool:
        """Whether it ends before a picture, which begins at `time`, s, and has `num_frames` before it."""
        late = self.end is not None and time >= self.end
        return late or (self.num_frames is not None and num_frames >= self.num_frames)

    def count(self, num_frames: int, fps: Fraction) -> int:
        """About how many of a source's pictures it holds."""
        end = Fraction(num_frames) if self.end is None else min(self.end * fps, Fraction(num_frames))
        count = max(math.ceil(end) - int(self.start * fps), 0)
        return count if self.num_frames is None else min(count, self.num_frames)


WHOLE = Excerpt()


class Source(Protocol):
    """A stream of pictures.

    Attributes:
        path: path as the user gave it.
        size: width and height, px, upright.
        num_frames: number of pictures, damaged ones included.
        fps: average frame rate.
        time_base: unit of the pictures' times, s.
        look: storage of the result's pixels.
        problem: reason why not everything could be read, or empty.
        notes: sentences about what is not kept as it was.
        excerpt: part of the file, or of the files, whose pictures these are.
        codec: FFmpeg's name of the video's codec; empty for images.
    """

    path: Path
    size: tuple[int, int]
    num_frames: int
    fps: Fraction
    time_base: Fraction
    look: Look
    problem: str
    notes: list[str]
    excerpt: Excerpt
    codec: str

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """The pictures from index `start` on."""

    def chosen(self, indices: Container[int]) -> Iterator[Picture]:
        """The pictures of some indices, in order; the others are not converted."""

    def thumbnails(self, longer_side: int) -> Iterator[np.ndarray]:
        """All pictures, (h, w, 3) uint8, RGB, shrunk to a longer side of px, but not turned upright."""

    def part(self, excerpt: Excerpt) -> Source:
        """The same source, of which another part is read."""

    def fingerprint(self) -> dict[str, object]:
        """Values that tell this source apart from another, and from an earlier file of its name."""


@dataclass
class VideoSource:
    """A video file; damaged frames are left out, and `problem` says so.

    Attributes:
        deinterlacing: `on`, `off`, or `auto`: where the frames are tagged as interlaced.
    """

    path: Path
    size: tuple[int, int] = (0, 0)
    num_frames: int = 0
    fps: Fraction = Fraction(25)
    time_base: Fraction = Fraction(1, 1000)
    look: Look = field(default_factory=Look)
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    codec: str = ""
    deinterlacing: Deinterlacing = "auto"
    excerpt: Excerpt = WHOLE

    def __post_init__(self) -> None:
        info, self._bytes = probe(self.path), self.path.stat().st_size
        self.num_frames = self.excerpt.count(info.num_frames, info.fps)
        self.fps, self.codec = info.fps, info.codec
        if is_truncated(self.path):
            self.problem = "is truncated"
        with open_video(self.path) as container:
            film = film_stream(container)
            self.time_base = Fraction(film.time_base or Fraction(1, 1000))
            frames = (frame for _, frame in decoded_frames(container) if frame is not None)
            first_frames = list(islice(frames, _FIRST_FRAMES))
            if not first_frames:
                raise InputError(f"{self.path}: not one frame of it can be decoded; get the file again")
            first = first_frames[0]
            self.look = look_of(film, first)
            self._stored_size = (first.width, first.height)
            self._deep = max(part.bits for part in first.format.components) > 8
            self.size = _size(self._pixels(first))
            # Of VP8 and VP9 in WebM it is a second picture beside each frame's, which FFmpeg does not decode.
            if has_transparency(first.format.name) or film.metadata.get("alpha_mode") == "1":
                self.notes.append("the transparency of the video is left out")
            self._interlaced = any(frame.interlaced_frame for frame in first_frames)
        if self._deinterlaces:
            self.notes.append(
                "the video is interlaced: it is deinterlaced (--deinterlace off keeps its fields)"
            )
        self._grid = even_grid(self.path)
        if self._grid is not None:
            # Whole units of both, so that frames stay evenly spaced and in step with the sound.
            units = math.lcm(self.time_base.denominator, self._grid.period.denominator)
            self.time_base = Fraction(1, units)

    @property
    def _deinterlaces(self) -> bool:
        return self.deinterlacing == "on" or (self.deinterlacing == "auto" and self._interlaced)

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source`."""
        frames = self._frames()
        return (self._picture(frame, *times) for index, frame, times in frames if index >= start)

    def chosen(self, indices: Container[int]) -> Iterator[Picture]:
        """See `Source`."""
        frames = self._frames()
        return (self._picture(frame, *times) for index, frame, times in frames if index in indices)

    def thumbnails(self, longer_side: int) -> Iterator[np.ndarray]:
        """See `Source`."""
        for _, frame, _ in self._frames():
            width, height = shrunk_size((frame.width, frame.height), longer_side)
            yield frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")

    def part(self, excerpt: Excerpt) -> VideoSource:
        """See `Source`."""
        return VideoSource(self.path, deinterlacing=self.deinterlacing, excerpt=excerpt)

    def _frames(self) -> Iterator[tuple[int, av.VideoFrame, tuple[int, int]]]:
        """Index and frame of each picture, and its time and duration.

        Decoded from the beginning: a key frame's place is not to be trusted everywhere.
        """
        origin: int | None = None
        last, duration, index, damaged, resized = -1, 1, 0, 0, False
        with open_video(self.path) as container:
            # Threads that decode frames beside each other lose some before the end of a truncated file.
            film_stream(container).thread_type = "SLICE" if self.problem else "AUTO"
            decoded = decoded_frames(container)
            if self._deinterlaces:
                decoded = deinterlaced(decoded, every_frame=self.deinterlacing == "on")
            for whole, frame in decoded:
                damaged += not whole
                if frame is None:
                    continue
                base = Fraction(frame.time_base or self.time_base)
                time = self._time(frame.pts * base) if frame.pts is not None else last + duration
                if origin is None:
                    origin, last = time, time - 1
                length = self._length((frame.duration or 0) * base)
                time, duration = max(time, last + 1), length or duration
                last = time
                if (time + duration - origin) * self.time_base <= self.excerpt.start:
                    continue
                if self.excerpt.is_over((time - origin) * self.time_base, index):
                    break
                resized |= (frame.width, frame.height) != self._stored_size
                yield index, frame, (time, length)
                index += 1
        if damaged and not self.problem:
            self.problem = f"is damaged in {damaged} places"
        if not self.problem and self.path.exists() and self.path.stat().st_size < self._bytes:
            self.problem = "became shorter while it was read"
        if resized:
            width, height = self.size
            self.notes.append(f"the frames change their size: all were fitted into {width}x{height}")

    def fingerprint(self) -> dict[str, object]:
        """See `Source`."""
        return file_fingerprint(self.path, self.excerpt) | {"deinterlacing": self.deinterlacing}

    def _picture(self, frame: av.VideoFrame, time: int, duration: int) -> Picture:
        pixels = self._pixels(frame)
        if (frame.width, frame.height) != self._stored_size:
            return Picture(_fitted(pixels, self.size), time, duration)
        return Picture(pixels, time, duration, frame)

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) RGB, uint8 or uint16, upright."""
        return np.ascontiguousarray(self.look.orientation.apply(to_rgb(frame, self.look, deep=self._deep)))

    def _time(self, seconds: Fraction) -> int:
        """A time in units of the source's time base."""
        return round((seconds if self._grid is None else self._grid.nearest(seconds)) / self.time_base)

    def _length(self, seconds: Fraction) -> int:
        """A frame's duration in units of the source's time base."""
        return round((seconds if self._grid is None else self._grid.length(seconds)) / self.time_base)


def file_fingerprint(path: Path, excerpt: Excerpt) -> dict[str, object]:
    """The `Source.fingerprint` of a part of one file."""
    status = path.stat()
    return {
        "path": str(path.resolve()),
        "bytes": status.st_size,
        "modified": status.st_mtime_ns,
        "excerpt": str(excerpt),
    }


def _size(pixels: np.ndarray) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]


def shrunk_size(size: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """A width and height with a longer side of at most so many px."""
    scale = min(longer_side / max(size), 1.0)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def _fitted(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture scaled into a size, with black bars where its shape is another."""
    height, width = pixels.shape[:2]
    factor = min(size[0] / width, size[1] / height)
    inner = (max(round(width * factor), 1), max(round(height * factor), 1))
    scaled = cv2.resize(pixels, inner, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    result = np.zeros((size[1], size[0], 3), pixels.dtype)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    result[top : top + inner[1], left : left + inner[0]] = scaled
    return result
