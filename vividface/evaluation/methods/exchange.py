"""What a published method's program reads and writes: frames in files, in and out without loss of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vividface.errors import InputError
from vividface.evaluation.footage import Footage
from vividface.evaluation.methods.description import Input, PublishedMethod
from vividface.files import natural_order
from vividface.video import write_clip

_OPTIONS: dict[str, dict[str, str | int]] = {
    "h264_rgb": {"vcodec": "libx264rgb", "qp": 0, "preset": "fast"},
}


@dataclass(frozen=True)
class Piece:
    """Frames that a program restores in one go.

    Attributes:
        name: name of its file or folder: letters and digits alone, since programs cut names at dots.
        frames: frames (F, H, W, 3) uint8, RGB, of the size that the program is given.
        size: width and height of the picture in them, without what fills up to a multiple.
        fps: frame rate.
        num_frames: number of frames that are wanted: the first ones of what comes out.
    """

    name: str
    frames: np.ndarray
    size: tuple[int, int]
    fps: Fraction
    num_frames: int


def cut(name: str, frames: np.ndarray, fps: Fraction, *, method: PublishedMethod) -> list[Piece]:
    """The pieces of a clip that a method takes, padded by repeating the last frame.

    Args:
        name: name of the clip's pieces.
        frames: frames (F, H, W, 3) uint8, RGB.
        fps: frame rate.
        method: the method.
    """
    pieces = []
    for number, (start, stop) in enumerate(method.frames.pieces(len(frames))):
        piece = np.stack([_given_size(frame, method.input) for frame in frames[start:stop]])
        missing = method.frames.padded(len(piece)) - len(piece)
        below, right = (-side % method.input.multiple for side in piece.shape[1:3])
        padded = np.pad(piece, ((0, missing), (0, below), (0, right), (0, 0)), mode="edge")
        size = (piece.shape[2], piece.shape[1])
        pieces.append(Piece(f"{name}p{number:03d}", padded, size, fps, stop - start))
    return pieces


def write_input(piece: Piece, folder: Path, *, reads: Input) -> Path:
    """Write a piece as a video or a folder of PNG frames.

    Args:
        piece: the piece.
        folder: folder that the file or the folder of frames lies in.
        reads: what the method reads.

    Returns:
        the path of the file or the folder.
    """
    if reads.is_video:
        path = folder / f"{piece.name}{'.mkv' if reads.codec == 'ffv1' else '.mp4'}"
        write_clip(path, piece.frames, piece.fps, options=_OPTIONS.get(reads.codec))
        return path
    path = folder / piece.name
    path.mkdir(parents=True)
    for number, frame in enumerate(piece.frames):
        file = path / (reads.frame_name % number)
        if not cv2.imwrite(str(file), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)):
            raise InputError(f"{file}: cannot be written; is the disk full?")
    return path


def read_output(
    piece: Piece, *, method: PublishedMethod, source: Path, values: Mapping[str, str], size: tuple[int, int]
) -> np.ndarray:
    """The restored frames of a piece, without those that it was padded with.

    Args:
        piece: the piece.
        method: the method.
        source: folder of the method's code, which its output's path may be relative to.
        values: values of the placeholders.
        size: width and height of the clip.

    Returns:
        frames (F, H, W, 3) uint8, RGB, of the clip's size.

    Raises:
        InputError: there is no result, or another number or size of frames than has to come out.
    """
    pattern = str(source / method.output.path.format_map(values))
    frames = _footage(pattern, method).read()
    expected = len(piece.frames) - method.frames.lost
    if len(frames) != expected:
        raise InputError(
            f"{method.title}: wrote {len(frames)} frames of {piece.name} to {pattern}, but {expected} of the "
            f"{len(piece.frames)} that it was given have to come out; correct `frames` in its description"
        )
    given = piece.frames.shape[2:0:-1]
    if method.output.size == "same" and frames.shape[2:0:-1] != given:
        sizes = ["x".join(map(str, pair)) for pair in (frames.shape[2:0:-1], given)]
        raise InputError(
            f"{method.title}: wrote frames of {sizes[0]} px, but was given {sizes[1]}; correct `output.size` "
            "in its description"
        )
    # Of a network that enlarges, the filling is enlarged too.
    width, height = (
        round(side * now / before)
        for side, now, before in zip(piece.size, frames.shape[2:0:-1], given, strict=True)
    )
    return np.stack([resize_by_area(frame[:height, :width], size) for frame in frames[: piece.num_frames]])


def _footage(pattern: str, method: PublishedMethod) -> Footage:
    anchor = Path(pattern).anchor
    files = sorted(Path(anchor).glob(pattern.removeprefix(anchor)), key=natural_order)
    if not files or (method.output.kind == "video" and len(files) > 1):
        raise InputError(
            f"{method.title}: ended well, but {len(files)} files fit {pattern}, where its result has to be; "
            "correct `output` in its description"
        )
    return Footage(files[0]) if method.output.kind == "video" else Footage(files[0].parent, tuple(files))


def _given_size(frame: np.ndarray, reads: Input) -> np.ndarray:
    height, width = frame.shape[:2]
    if reads.size == "square_512":
        return resize_by_area(frame, (512, 512))
    if reads.size == "quarter":
        return resize_by_area(frame, (-(-width // 4), -(-height // 4)))
    return frame


def resize_by_area(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame (H, W, 3) at another width and height: by area where it shrinks, else bicubic."""
    if frame.shape[1::-1] == size:
        return frame
    shrinks = size[0] <= frame.shape[1] and size[1] <= frame.shape[0]
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, size, interpolation=kind))
