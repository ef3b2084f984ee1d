"""The sources of an enhancement: videos with their timing and colours, images, folders of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from av.container import InputContainer

from vividface.errors import InputError
from vividface.video import EXACT, IMAGE_SUFFIXES, is_truncated, is_video, probe

# Layouts of pixels that are written as they were read; others become 4:2:0 of the same depth.
_KEPT = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"})


@dataclass(frozen=True)
class Picture:
    """A frame as it was read, and when it is shown.

    Attributes:
        pixels: frame (H, W, 3), upright, RGB, uint8, or uint16 where the source has more than 8 bits.
        time: time of its presentation, in units of the source's time base.
        duration: duration in the same units; 0 where the source does not say.
    """

    pixels: np.ndarray
    time: int
    duration: int


@dataclass(frozen=True)
class Look:
    """How a video stores its pixels, so that the result can store them alike.

    The colour values are FFmpeg's numbers; 2 is unspecified, and 0 for the range.

    Attributes:
        pixel_format: FFmpeg's name of the pixels' format.
        matrix: matrix from RGB to luma and chroma.
        range: range of the values, limited or full.
        primaries: primaries of the colours.
        transfer: transfer characteristics.
        pixel_aspect: width of a pixel over its height.
    """

    pixel_format: str = "yuv420p"
    matrix: int = 1
    range: int = 1
    primaries: int = 1
    transfer: int = 1
    pixel_aspect: Fraction = Fraction(1)


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
    """

    path: Path
    size: tuple[int, int]
    num_frames: int
    fps: Fraction
    time_base: Fraction
    look: Look
    problem: str

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """The pictures from index `start` on."""

    def fingerprint(self) -> dict[str, object]:
        """Values that tell this source apart from another, and from an earlier file of its name."""


@dataclass
class VideoSource:
    """A video file; damaged frames are left out, and `problem` says so."""

    path: Path
    size: tuple[int, int] = (0, 0)
    num_frames: int = 0
    fps: Fraction = Fraction(25)
    time_base: Fraction = Fraction(1, 1000)
    look: Look = field(default_factory=Look)
    problem: str = ""
    _deep: bool = False

    def __post_init__(self) -> None:
        info = probe(self.path)
        self.num_frames, self.fps = info.num_frames, info.fps
        if is_truncated(self.path):
            self.problem = "is truncated"
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            self.time_base = Fraction(stream.time_base or Fraction(1, 1000))
            first = next((frame for _, frame in _decoded(container) if frame is not None), None)
            if first is None:
                raise InputError(f"{self.path}: not one frame of it can be decoded; get the file again")
            self._deep = max(part.bits for part in first.format.components) > 8
            name = first.format.name.replace("yuvj", "yuv")
            self.look = Look(
                name if name in _KEPT else ("yuv420p10le" if self._deep else "yuv420p"),
                int(first.colorspace),
                int(first.color_range),
                int(first.color_primaries),
                int(first.color_trc),
                Fraction(stream.sample_aspect_ratio or 1),
            )
            height, width = _upright(first, deep=self._deep).shape[:2]
            if (height, width) != (first.height, first.width):
                aspect = 1 / self.look.pixel_aspect
                self.look = Look(**(vars(self.look) | {"pixel_aspect": aspect}))
            self.size = (width, height)

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source`. Decoded from the beginning: a key frame's place is not to be trusted everywhere."""
        last, duration, index, damaged = -1, 1, 0, 0
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for whole, frame in _decoded(container):
                damaged += not whole
                if frame is None:
                    continue
                time = frame.pts if frame.pts is not None else last + duration
                if index == 0:
                    last = time - 1
                time, duration = max(time, last + 1), frame.duration or duration
                last = time
                if index >= start:
                    yield Picture(self._sized(_upright(frame, deep=self._deep)), time, frame.duration or 0)
                index += 1
        if damaged and not self.problem:
            self.problem = f"is damaged in {damaged} places"

    def fingerprint(self) -> dict[str, object]:
        """See `Source`."""
        status = self.path.stat()
        return {"path": str(self.path.resolve()), "bytes": status.st_size, "modified": status.st_mtime_ns}

    def _sized(self, pixels: np.ndarray) -> np.ndarray:
        """Some streams change their size half-way; the result has one."""
        if pixels.shape[1::-1] == self.size:
            return pixels
        return np.asarray(cv2.resize(pixels, self.size, interpolation=cv2.INTER_AREA))


@dataclass
class ImageSource:
    """One image, or images that are the frames of a video, in the order of their names."""

    path: Path
    files: list[Path]
    fps: Fraction = Fraction(25)
    size: tuple[int, int] = (0, 0)
    look: Look = field(default_factory=Look)
    problem: str = ""

    def __post_init__(self) -> None:
        self.num_frames = len(self.files)
        self.time_base = 1 / self.fps
        first = _read_image(self.files[0])
        self.size = (first.shape[1], first.shape[0])
        if first.dtype == np.uint16:
            self.look = Look("yuv420p10le")

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source`."""
        for index in range(start, self.num_frames):
            pixels = _read_image(self.files[index])
            if pixels.shape[1::-1] != self.size:
                raise InputError(
                    f"{self.files[index]}: is {pixels.shape[1]}x{pixels.shape[0]}, but the frames before it "
                    f"are {self.size[0]}x{self.size[1]}; give each video a folder of its own"
                )
            yield Picture(pixels, index, 1)

    def fingerprint(self) -> dict[str, object]:
        """See `Source`."""
        status = [file.stat() for file in self.files]
        return {
            "path": str(self.path.absolute()),
            "files": len(self.files),
            "bytes": sum(file.st_size for file in status),
            "modified": max(file.st_mtime_ns for file in status),
        }


def open_source(path: Path, *, fps: Fraction = Fraction(25)) -> Source:
    """Open a video file, an image, a folder of images, or a pattern such as `frames/*.png`.

    Args:
        path: path or pattern as the user gave it.
        fps: frame rate of a folder of images.

    Raises:
        InputError: it does not exist, or cannot be read.
    """
    if fps <= 0:
        raise InputError(f"--fps {fps}: is not positive")
    if path.is_dir():
        images = _images(path.iterdir())
        if not images and videos_in(path):
            raise InputError(f"{path}: is a folder of videos; give one of them, or use enhance_folder")
        if not images:
            raise InputError(f"{path}: holds neither videos nor images; give a video, or a folder of frames")
        return ImageSource(path, images, fps)
    if not path.exists() and any(sign in path.name for sign in "*?["):
        images = _images(path.parent.glob(path.name))
        if not images:
            raise InputError(f"{path}: no image fits this pattern; check it, and quote it")
        return ImageSource(path, images, fps)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path")
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        return ImageSource(path, [path], fps)
    return VideoSource(path)


def videos_in(folder: Path) -> list[Path]:
    """The videos of a folder, in the order of their names; those of its subfolders are not."""
    return sorted(path for path in folder.iterdir() if is_video(path))


def _images(paths: Iterator[Path]) -> list[Path]:
    return sorted(path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _read_image(path: Path) -> np.ndarray:
    """(H, W, 3) RGB, uint8 or uint16, upright by its EXIF tag."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: is not a readable image of 8 or 16 bits; is it whole?")
    return np.ascontiguousarray(image[..., ::-1])


def _decoded(container: InputContainer) -> Iterator[tuple[bool, av.VideoFrame | None]]:
    """Frames in order, and for each piece whether it was whole; a piece that gave no frame has None."""
    try:
        for packet in container.demux(video=0):
            try:
                for frame in packet.decode():
                    yield not frame.is_corrupt, frame
            except av.FFmpegError:
                yield False, None
    except av.FFmpegError:
        yield False, None


def _upright(frame: av.VideoFrame, *, deep: bool) -> np.ndarray:
    """(H, W, 3) RGB, uint8 or uint16."""
    if deep:
        pixels = frame.to_ndarray(format="rgb48le")
    else:
        pixels = frame.to_ndarray(format="rgb24", interpolation=EXACT)
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
