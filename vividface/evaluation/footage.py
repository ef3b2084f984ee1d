"""Videos under evaluation: files, or folders of frames, matched by their names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vividface.errors import InputError
from vividface.files import natural_order
from vividface.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_video, iterate_frames, probe, resize

# Above this many bytes the frames of a clip are kept in a file, not in memory: half a minute of 512 px.
_IN_MEMORY = 1 << 29


@dataclass(frozen=True)
class Footage:
    """A video file, or a folder of frames.

    Attributes:
        path: path of the file or the folder.
        images: files of the frames, in their order; empty for a video file.
        size: width and height that frames are resized to (bicubic); None leaves them.
    """

    path: Path
    images: tuple[Path, ...] = ()
    size: tuple[int, int] | None = None

    @property
    def own_size(self) -> tuple[int, int]:
        """Width and height of the frames as they are stored, px."""
        return self._stored[1:]

    @property
    def written(self) -> list[tuple[str, int, int]]:
        """Name, size in bytes and time of the last change, ns, of every file: what tells it from another."""
        return [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in self.images or (self.path,)
        ]

    def read(self) -> np.ndarray:
        """All frames (F, H, W, 3), uint8, RGB; of a long clip an array in a temporary file.

        Raises:
            InputError: a frame cannot be read, or the images are not of one size.
        """
        num_frames, own_width, own_height = self._stored
        width, height = self.size or (own_width, own_height)
        frames = _space((num_frames, height, width, 3))
        count = 0
        for count, frame in enumerate(self._frames(), start=1):
            if frame.shape[:2] != (own_height, own_width):
                raise InputError(
                    f"{self.path}: frame {count} has another size than the first one; make them equal"
                )
            frames[count - 1] = frame if self.size is None else resize(frame, self.size)
        return frames[:count]

    def fps(self, of_frames: float) -> Fraction:
        """The frame rate.

        Args:
            of_frames: that of a folder of frames, which has none of its own.
        """
        return Fraction(of_frames) if self.images else probe(self.path).fps

    @property
    def _stored(self) -> tuple[int, int, int]:
        """The number of frames, and the width and height that they are stored in, px."""
        if self.images:
            height, width = _read_image(self.images[0]).shape[:2]
            return len(self.images), width, height
        info = probe(self.path)
        return info.num_frames, info.width, info.height

    def _frames(self) -> Iterator[np.ndarray]:
        if not self.images:
            return iterate_frames(self.path)
        return (_read_image(path) for path in self.images)


def footage_of(path: Path) -> Footage:
    """A video file, or a folder of frames.

    Raises:
        InputError: it is neither.
    """
    if path.is_dir() and (images := _images_in(path)):
        return Footage(path, images)
    if is_video(path):
        return Footage(path)
    raise InputError(f"{path}: is neither a video nor a folder of frames; check the path")


def find_footage(path: Path) -> dict[str, Footage]:
    """The videos and folders of frames in a folder by their names, without suffix; or the one at a path.

    Raises:
        InputError: there are none, or two have the same name.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path")
    if path.is_file() or _images_in(path):
        return {path.stem if path.is_file() else path.name: footage_of(path)}
    found: dict[str, Footage] = {}
    for entry in sorted(path.iterdir(), key=natural_order):
        is_frames = entry.is_dir() and not entry.name.startswith(".") and bool(_images_in(entry))
        if not is_frames and not is_video(entry):
            continue
        name = entry.name if is_frames else entry.stem
        if name in found:
            raise InputError(f"{entry}: has the name of {found[name].path.name}; rename one")
        found[name] = footage_of(entry)
    if not found:
        raise InputError(
            f"{path}: holds neither videos nor folders of frames; known suffixes of videos are "
            f"{', '.join(sorted(VIDEO_SUFFIXES))}"
        )
    return found


def _images_in(folder: Path) -> tuple[Path, ...]:
    images = (
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    return tuple(sorted(images, key=natural_order))


def _read_image(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise InputError(f"{path}: cannot be read as an image; write it again")
    return np.asarray(image)


def _space(shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64))
    if size <= _IN_MEMORY:
        return np.empty(shape, np.uint8)
    # The file has no name any more, so that it goes with the array.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
