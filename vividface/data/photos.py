"""Photographs as gently moving clips, so that a person of whom there is only a picture can be trained on."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from vividface.config.datasets import PhotosSource
from vividface.data.videos import SourceVideo, files_in_folder, identifiers
from vividface.errors import InputError
from vividface.files import seeded_hash, sha256
from vividface.video import IMAGE_SUFFIXES, write_clip

# Standard deviations of the motion: pan as shares of the shorter side, rotation in degrees, zoom as a factor.
_PAN_X, _PAN_Y, _ROTATION, _ZOOM = 0.01, 0.006, 1.5, 0.015
# How lively a clip is, one of these at random.
_LIVELINESS = (0.3, 1.0, 2.0)


def fetch_photos(
    folder: Path, source: PhotosSource, *, key: str, directory: Path, seed: int
) -> list[SourceVideo]:
    """Make a clip of each photograph of a folder.

    Args:
        folder: the folder, which exists.
        source: pattern of the photographs, and the clips' length, rate and size.
        key: key of the source in the configuration, for messages.
        directory: folder of the clips.
        seed: seed of the motion, together with the photograph's content.

    Raises:
        InputError: there is no photograph, or one cannot be read.
    """
    matches = files_in_folder(folder, key=key, pattern=source.pattern)
    photos = [path for path in matches if path.suffix.lower() in IMAGE_SUFFIXES]
    if not photos:
        raise InputError(
            f"{key}: no photograph in {folder} matches the pattern {source.pattern!r}; known suffixes are "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    directory.mkdir(parents=True, exist_ok=True)
    names = [path.stem for path in photos]
    videos = []
    for identifier, photo, name in zip(identifiers(names), photos, names, strict=True):
        image = cv2.imread(str(photo), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise InputError(f"{photo}: is not a readable image; get it again, or remove it")
        generator = np.random.default_rng(list(seeded_hash(seed, sha256(photo))))
        clip = directory / f"{identifier}.mkv"
        frames = moving_clip(_within(image, source.max_size), source.num_frames, generator)
        write_clip(clip, frames, source.fps)
        videos.append(SourceVideo(video_id=identifier, path=str(clip), sha256=sha256(clip), person=name))
    return videos


def moving_clip(image: np.ndarray, num_frames: int, generator: np.random.Generator) -> np.ndarray:
    """A clip of a picture that is panned, turned and zoomed a little; half of the clips end at rest.

    Args:
        image: picture (H, W, 3) uint8.
        num_frames: F.
        generator: generator of the motion.

    Returns:
        the clip (F, H', W', 3) uint8, H' and W' being even.
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    sizes = generator.choice(_LIVELINESS) * np.array([_PAN_X * shorter, _PAN_Y * shorter, _ROTATION, _ZOOM])
    motion = [size * _wave(num_frames, generator) for size in sizes]
    if generator.random() < 0.5:
        rest = generator.integers(num_frames // 2, num_frames)
        motion = [curve[np.minimum(np.arange(num_frames), rest)] for curve in motion]
    size = (width // 2 * 2, height // 2 * 2)
    frames = []
    for x, y, degrees, zoom in zip(*motion, strict=True):
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1 + zoom)
        matrix[:, 2] += x, y
        frames.append(
            cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        )
    return np.stack(frames)


def _wave(num_frames: int, generator: np.random.Generator) -> np.ndarray:
    """The sum of two slow sines of random size, rate and phase, (F,)."""
    time = np.arange(num_frames) / num_frames
    curve = np.zeros(num_frames)
    for _ in range(2):
        phase = generator.uniform(0.2, 1.6) * time + generator.random()
        curve += generator.normal() * np.sin(2 * math.pi * phase)
    return curve


def _within(image: np.ndarray, max_size: int) -> np.ndarray:
    """The image, shrunk where its longer side is above a limit."""
    scale = max_size / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
