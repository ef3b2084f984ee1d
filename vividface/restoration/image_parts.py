"""The parts of a result that is an image or a folder of images, and their joining."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from vividface.files import atomic_path
from vividface.restoration.image_writing import write_still
from vividface.restoration.images import read_form
from vividface.restoration.transparency import flattened
from vividface.restoration.writing import PartWriter


class ImagesPart:
    """A part's pictures as image files in a folder.

    Args:
        folder: folder of the files, which is created.
        names: names of the files, whose suffix says the format, and the images that they are made from, whose
            profile, EXIF and XMP they get; in order.
    """

    def __init__(self, folder: Path, names: Iterator[tuple[str, Path]]) -> None:
        self._folder, self._names = folder, names
        folder.mkdir()

    def write(self, pixels: np.ndarray, *, original: np.ndarray, stored: av.VideoFrame | None) -> None:
        """See `PartWriter`; the fourth of four channels is alpha."""
        name, source = next(self._names)
        write_still(self._folder / name, pixels, read_form(source))

    def close(self) -> None:
        """See `PartWriter`."""


class FlatPart:
    """A part of something that holds no transparency, of pictures that may have some.

    Args:
        part: writer of pictures of three channels.
    """

    def __init__(self, part: PartWriter) -> None:
        self._part = part

    def write(self, pixels: np.ndarray, *, original: np.ndarray, stored: av.VideoFrame | None) -> None:
        """See `PartWriter`; the fourth of four channels is alpha."""
        self._part.write(flattened(pixels), original=original, stored=stored)

    def close(self) -> None:
        """See `PartWriter`."""
        self._part.close()


def names_of(files: Sequence[Path]) -> list[str]:
    """The names of the images that are made from the images of a folder."""
    stems = Counter(file.stem for file in files)
    # A folder may hold both a.jpg and a.png.
    return [f"{file.stem if stems[file.stem] == 1 else file.name}.png" for file in files]


def join_images(output: Path, folders: Sequence[Path]) -> None:
    """Move the parts' images into one folder, or, where `output` is an image's name, to it."""
    images = [image for folder in folders for image in sorted(folder.iterdir())]
    with atomic_path(output) as temporary:
        if output.suffix:
            images[0].replace(temporary)
            return
        temporary.mkdir()
        for image in images:
            image.replace(temporary / image.name)
