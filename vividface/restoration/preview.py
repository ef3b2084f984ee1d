"""A preview of an enhancement: one picture per shot, before and after, without writing a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from vividface.config import EnhanceConfig
from vividface.cuts import CutDetector
from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.restoration.drawing import side_by_side
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.prepared import Pending
from vividface.restoration.reading import Picture, Source
from vividface.restoration.windows import WindowRestorer

SUFFIXES = (".jpg", ".jpeg", ".png")
# Frames that are restored of each shot, where a window holds as many.
_FRAMES = 9
# px, longer side of the pictures that cuts are looked for in.
_THUMBNAIL = 256


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The picture of one shot.

    Attributes:
        path: path of the picture, input and result side by side.
        time: time of the frame in the source, s.
        has_face: whether a face was restored in it.
    """

    path: Path
    time: float
    has_face: bool


def preview(
    source: Source,
    path: Path,
    *,
    restorer: FaceRestorer,
    config: EnhanceConfig,
    overwrite: bool = False,
) -> Iterator[Preview]:
    """Restore a few frames around the middle of each shot, and write one of them beside its input.

    The source is read twice, first to find its shots. The frame is the one nearest to the shot's middle that
    has a restored face, or the middle itself.

    Args:
        source: opened source, or a part of it.
        path: path of the picture; of several shots `NAME-01.jpg`, `NAME-02.jpg`, and so on.
        restorer: loaded model and face backend.
        config: windows, cuts, faces, strength and colours.
        overwrite: whether existing pictures may be replaced.

    Yields:
        the pictures, as they are written.

    Raises:
        InputError: a picture exists already or cannot be written, the name is none of a picture's, the source
            has no frame, or the chosen face is not there.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--preview {path}: is no name of a picture; use {', '.join(SUFFIXES)}")
    shots = find_shots(source, config.cut_threshold)
    if not shots:
        raise InputError(f"{source.path}: no frame of it can be read; check --start and --end")
    names = preview_names(path, len(shots))
    for name in names:
        if name.exists() and not overwrite:
            raise InputError(f"{name}: exists already; give another name or add --overwrite")
    restoration = WindowRestorer(source, restorer, config)
    length = min(_FRAMES, config.window)
    for pictures, name in zip(_middles(source, shots, length), names, strict=False):
        chosen, before, after = _restored(pictures, restoration)
        _write(side_by_side(before, after, titles=("input", "enhanced")), name)
        time = float(chosen.picture.time * source.time_base)
        yield Preview(path=name, time=time, has_face=chosen.has_face)


def find_shots(source: Source, cut_threshold: float | None) -> list[range]:
    """The indices of each shot's pictures, by a pass over small pictures.

    Args:
        source: opened source.
        cut_threshold: threshold of `CutDetector`; None takes everything for one shot.
    """
    starts, count = [0], 0
    cuts = CutDetector(cut_threshold) if cut_threshold else None
    for thumbnail in source.thumbnails(_THUMBNAIL):
        if cuts is not None and cuts.starts_shot(thumbnail) and count:
            starts.append(count)
        count += 1
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], count], strict=True) if count]


def preview_names(path: Path, count: int) -> list[Path]:
    """The paths of the pictures: numbered where there are several.

    Args:
        path: path that the user gave.
        count: number of pictures.
    """
    if count == 1:
        return [path]
    digits = max(len(str(count)), 2)
    return [path.with_stem(f"{path.stem}-{number:0{digits}d}") for number in range(1, count + 1)]


def _middles(source: Source, shots: list[range], length: int) -> Iterator[list[Picture]]:
    """The pictures around the middle of each shot."""
    middles = []
    for shot in shots:
        start = shot.start + (len(shot) - min(length, len(shot))) // 2
        middles.append(range(start, min(start + length, shot.stop)))
    wanted = {index for middle in middles for index in middle}
    pictures = source.chosen(wanted)
    for middle in middles:
        if window := list(islice(pictures, len(middle))):
            yield window


def _restored(pictures: list[Picture], restoration: WindowRestorer) -> tuple[Pending, np.ndarray, np.ndarray]:
    """The picture to show, before and after."""
    window, restored = restoration.shot(pictures)
    middle = len(window) // 2
    with_face = [index for index, pending in enumerate(window) if pending.has_face]
    chosen = min(with_face or [middle], key=lambda index: abs(index - middle))
    return window[chosen], window[chosen].original, restored[chosen]


def _write(image: np.ndarray, path: Path) -> None:
    try:
        with atomic_path(path) as temporary:
            if not cv2.imwrite(str(temporary), np.ascontiguousarray(image[..., ::-1])):
                raise OSError("the image could not be written")
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: cannot be written ({reason}); free or choose another disk") from error
