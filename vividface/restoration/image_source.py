"""Images as a source: one, or a folder or pattern of them, the frames of a video; and animations."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np

from vividface.errors import InputError
from vividface.files import natural_order
from vividface.restoration.image_writing import losses
from vividface.restoration.images import SUFFIXES, Form, num_pictures, opened, read_form, read_still
from vividface.restoration.look import Look
from vividface.restoration.reading import WHOLE, Excerpt, Picture, file_fingerprint, shrunk_size
from vividface.video import eight_bits

# A number in a pattern of C's printf, as FFmpeg takes them: %d, %4d or %04d.
_NUMBER = re.compile(r"%(?:0?([0-9]*))[diu]")
# Players show a frame of an animation that is to last no longer than the first for the second, ms.
_SHORTEST, _INSTEAD = 10, 100


@dataclass
class ImageSource:
    """One image, or images that are the frames of a video, in the order of their names.

    Attributes:
        files: paths of the images.
        form: how the first image stores its picture.
    """

    path: Path
    files: list[Path]
    fps: Fraction = Fraction(25)
    size: tuple[int, int] = (0, 0)
    look: Look = field(default_factory=Look)
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    codec: str = ""
    excerpt: Excerpt = WHOLE
    _is_transparent: bool = False

    def __post_init__(self) -> None:
        self._all_files, self._offset = self.files, int(self.excerpt.start * self.fps)
        num_frames = self.excerpt.count(len(self.files), self.fps)
        self.files = self.files[self._offset :][:num_frames]
        self.num_frames = len(self.files)
        self.time_base = 1 / self.fps
        first = self._picture(self._all_files[0], 0)
        self.form = read_form(self._all_files[0])
        self.size = (first.pixels.shape[1], first.pixels.shape[0])
        self._is_deep = first.pixels.dtype == np.uint16
        self.look = Look("gbrp10le" if self._is_deep else "gbrp")

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source`."""
        return self.chosen(range(start, self.num_frames))

    def chosen(self, indices: Container[int]) -> Iterator[Picture]:
        """See `Source`."""
        for index, file in enumerate(self.files):
            if index in indices:
                yield self._picture(file, self._offset + index)

    def thumbnails(self, longer_side: int) -> Iterator[np.ndarray]:
        """See `Source`."""
        return (_shrunk(picture.pixels, longer_side) for picture in self.pictures())

    def part(self, excerpt: Excerpt) -> ImageSource:
        """See `Source`."""
        return ImageSource(self.path, self._all_files, self.fps, excerpt=excerpt)

    def _picture(self, file: Path, time: int) -> Picture:
        still = read_still(file)
        size = (still.pixels.shape[1], still.pixels.shape[0])
        if self.size not in (size, (0, 0)):
            raise InputError(
                f"{file}: is {size[0]}x{size[1]}, but the frames before it "
                f"are {self.size[0]}x{self.size[1]}; give each video a folder of its own"
            )
        if still.problem and not self.problem:
            self.problem = still.problem if self.num_frames == 1 else f"{file.name} {still.problem}"
        self.notes += [note for note in still.notes if note not in self.notes]
        self._is_transparent |= is_transparent(still.alpha)
        return Picture(still.pixels, time, 1, alpha=still.alpha)

    def losses(self, output: Path) -> list[str]:
        """Sentences about what a result cannot hold, an image, a folder of images (PNG) or a video."""
        return losses(
            output.suffix or ".png",
            self.form,
            is_transparent=self._is_transparent,
            is_deep=self._is_deep,
        )

    def fingerprint(self) -> dict[str, object]:
        """See `Source`."""
        status = [file.stat() for file in self.files]
        return {
            "path": str(self.path.absolute()),
            "files": len(self.files),
            "bytes": sum(file.st_size for file in status),
            "modified": max(file.st_mtime_ns for file in status),
            "excerpt": str(self.excerpt),
        }


@dataclass
class AnimationSource:
    """An animated image, a video without sound: GIF, WebP, APNG or AVIF."""

    path: Path
    size: tuple[int, int] = (0, 0)
    num_frames: int = 0
    fps: Fraction = Fraction(25)
    time_base: Fraction = Fraction(1, 1000)
    look: Look = field(default_factory=lambda: Look("gbrp"))
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    codec: str = ""
    excerpt: Excerpt = WHOLE
    _is_transparent: bool = False

    def __post_init__(self) -> None:
        self.form: Form = read_form(self.path)
        with opened(self.path, self.path.read_bytes()) as image:
            # Of WebP and APNG 1 is once, of GIF once more; players repeat AVIF for ever.
            times = image.info.get("loop", 0 if image.format == "AVIF" else 1)
            self._loops = times != 1 or (image.format == "GIF" and "loop" in image.info)
        end = 0
        for picture in self.pictures():
            self.num_frames += 1
            self.size = (picture.pixels.shape[1], picture.pixels.shape[0])
            self._is_transparent |= is_transparent(picture.alpha)
            end = picture.time + picture.duration
        if not self.num_frames:
            raise InputError(f"{self.path}: not one frame of it can be decoded; get the file again")
        self.fps = max(Fraction(1000 * self.num_frames, end).limit_denominator(1001), Fraction(1, 1001))

    def pictures(self, start: int = 0) -> Iterator[Picture]:
        """See `Source`; each frame is the whole picture that is shown, times are in ms."""
        return islice(self._in_excerpt(), start, None)

    def chosen(self, indices: Container[int]) -> Iterator[Picture]:
        """See `Source`."""
        return (picture for index, picture in enumerate(self.pictures()) if index in indices)

    def thumbnails(self, longer_side: int) -> Iterator[np.ndarray]:
        """See `Source`."""
        return (_shrunk(picture.pixels, longer_side) for picture in self.pictures())

    def part(self, excerpt: Excerpt) -> AnimationSource:
        """See `Source`."""
        return AnimationSource(self.path, excerpt=excerpt)

    def _in_excerpt(self) -> Iterator[Picture]:
        num_frames = 0
        for picture in self._whole():
            if (picture.time + picture.duration) * self.time_base <= self.excerpt.start:
                continue
            if self.excerpt.is_over(picture.time * self.time_base, num_frames):
                return
            num_frames += 1
            yield picture

    def _whole(self) -> Iterator[Picture]:
        end = Fraction(0)
        with opened(self.path, self.path.read_bytes()) as image:
            first = int(getattr(image, "n_frames", 1)) - num_pictures(image)
            for index in range(num_pictures(image)):
                try:
                    image.seek(first + index)
                    image.load()
                except (OSError, EOFError, SyntaxError):
                    self.problem = "is truncated or damaged"
                    return
                delay = Fraction(image.info.get("duration", 0)).limit_denominator(1000)
                begin, end = round(end), end + (delay if delay > _SHORTEST else _INSTEAD)
                pixels = np.asarray(image.convert("RGBA"))
                colours, alpha = np.ascontiguousarray(pixels[..., :3]), pixels[..., 3]
                yield Picture(colours, begin, round(end) - begin, alpha=alpha)

    def losses(self, output: Path) -> list[str]:
        """Sentences about what a video cannot hold of an animation."""
        suffix = output.suffix.lower()
        notes = losses(suffix, self.form, is_transparent=self._is_transparent, is_deep=False)
        if self._loops:
            notes.append(f"the loop cannot be stored in {suffix.removeprefix('.')}: it is played once now")
        return notes

    def fingerprint(self) -> dict[str, object]:
        """See `Source`."""
        return file_fingerprint(self.path, self.excerpt)


def _shrunk(pixels: np.ndarray, longer_side: int) -> np.ndarray:
    size = shrunk_size((pixels.shape[1], pixels.shape[0]), longer_side)
    return np.asarray(cv2.resize(eight_bits(pixels), size, interpolation=cv2.INTER_AREA))


def is_transparent(alpha: np.ndarray | None) -> bool:
    """Whether anything of a picture is not opaque, by its alpha if it has one."""
    return alpha is not None and bool((alpha < np.iinfo(alpha.dtype).max).any())


def images_of(paths: Iterable[Path]) -> list[Path]:
    """The images among some paths, in natural order; dot files are other systems' shadows of an image."""
    images = (path for path in paths if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted((path for path in images if path.is_file()), key=natural_order)


def is_numbered_pattern(path: Path) -> bool:
    """Whether a name holds a number as C's printf takes it, such as `frame%04d.png`."""
    return _NUMBER.search(path.name) is not None


def numbered_images(path: Path) -> list[Path]:
    """The images that a pattern with a number, such as `frame%04d.png`, stands for, in order."""
    before, width, after = _NUMBER.split(path.name, maxsplit=1)
    digits = int(width or 1)
    number = rf"([0-9]{{{digits}}}|[1-9][0-9]{{{digits},}})"
    literal = [re.escape(text.replace("%%", "%")) for text in (before, after)]
    fitting = re.compile(number.join(literal))
    if not path.parent.is_dir():
        return []
    return images_of(file for file in path.parent.iterdir() if fitting.fullmatch(file.name))


def gaps(files: Sequence[Path]) -> list[str]:
    """A sentence about numbers that are missing between those of the files' names, or none.

    Args:
        files: images in natural order; every second or tenth frame of a video has no gap.
    """
    # The last number before the suffix counts.
    names = [re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", file.stem) for file in files]
    found = [name for name in names if name is not None]
    if len(found) < max(len(files), 2) or len({(name[1], name[3]) for name in found}) > 1:
        return []
    numbers = [int(name[2]) for name in found]
    steps = [after - before for before, after in pairwise(numbers)]
    usual = min(steps)
    missing = [index for index, step in enumerate(steps) if step > usual]
    if usual < 1 or not missing:
        return []
    count = sum(steps[index] // usual - 1 for index in missing)
    behind = files[missing[0]].name
    return [
        f"the frames' numbers have gaps, the first behind {behind}: {count} of them are missing, and the "
        "others follow each other without a pause"
    ]
