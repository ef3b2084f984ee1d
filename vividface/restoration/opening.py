"""Opening a source: what a path, a folder or a pattern names."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from vividface.errors import InputError
from vividface.restoration.image_source import (
    AnimationSource,
    ImageSource,
    gaps,
    images_of,
    is_numbered_pattern,
    numbered_images,
)
from vividface.restoration.images import is_animation, is_image
from vividface.restoration.reading import WHOLE, Deinterlacing, Excerpt, Source, VideoSource
from vividface.video import is_video


def open_source(
    path: Path,
    *,
    fps: Fraction = Fraction(25),
    deinterlacing: Deinterlacing = "auto",
    excerpt: Excerpt = WHOLE,
) -> Source:
    """Open a video file, an image, an animation, or a folder or pattern of images.

    Patterns are `frames/*.png` and, as for FFmpeg, `frames/%04d.png`.

    Args:
        path: path or pattern as the user gave it.
        fps: frame rate of a folder of images.
        deinterlacing: `on`, `off`, or `auto`: where a video's frames are tagged as interlaced.
        excerpt: part that is read.

    Raises:
        InputError: it does not exist, or cannot be read.
    """
    if fps <= 0:
        raise InputError(f"--fps {fps}: is not positive")
    if path.is_dir():
        images = images_of(path.iterdir())
        if not images and videos_in(path):
            raise InputError(f"{path}: is a folder of videos; give one of them, or use enhance_folder")
        if not images:
            raise InputError(f"{path}: holds neither videos nor images; give a video, or a folder of frames")
        return ImageSource(path, images, fps, notes=gaps(images), excerpt=excerpt)
    if not path.exists() and (is_numbered_pattern(path) or any(sign in path.name for sign in "*?[")):
        is_numbered = is_numbered_pattern(path)
        images = numbered_images(path) if is_numbered else images_of(path.parent.glob(path.name))
        if not images:
            raise InputError(f"{path}: no image fits this pattern; check it, and quote it")
        return ImageSource(path, images, fps, notes=gaps(images), excerpt=excerpt)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path")
    if not path.is_file():
        raise InputError(f"{path}: is no file but a pipe or a device; save it to a file first")
    if is_image(path):
        if is_animation(path):
            return AnimationSource(path, excerpt=excerpt)
        return ImageSource(path, [path], fps, excerpt=excerpt)
    return VideoSource(path, deinterlacing=deinterlacing, excerpt=excerpt)


def videos_in(folder: Path) -> list[Path]:
    """The videos of a folder, in the order of their names; those of its subfolders are not."""
    return sorted(path for path in folder.iterdir() if is_video(path))
