"""Enhancing a video file, with its sound, in constant memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from vividface.errors import InputError
from vividface.restoration.windows import restore_stream
from vividface.video import VideoInfo, VideoWriter, iterate_frames, require_whole


@dataclass(frozen=True)
class Enhanced:
    """What was done, for the summary that the command prints."""

    output: Path
    frames: int
    seconds: float


def enhance_video(
    source: Path | str,
    output: Path | str,
    restore: Callable[[np.ndarray], np.ndarray],
    window: int,
    overlap: int,
    compare: Path | str | None = None,
    overwrite: bool = False,
) -> Enhanced:
    """Restore a face video that is a face crop already; its audio is copied.

    Args:
        source: the degraded video.
        output: the enhanced video, H.264.
        restore: maps frames (F, H, W, 3) uint8 to the same shape and type.
        window: frames restored at once, which bounds the memory.
        overlap: frames shared, and blended, by two windows.
        compare: a second video to write, with input and output side by side.
        overwrite: whether existing files may be replaced.

    Raises:
        InputError: the input cannot be read or is truncated, or an output exists.
    """
    source, output = Path(source), Path(output)
    for path in [output] if compare is None else [output, Path(compare)]:
        if path.exists() and not overwrite:
            raise InputError(f"{path}: exists already; give another name or add --overwrite")
        if path.resolve() == source.resolve():
            raise InputError(f"{path}: is the input itself; give another name")
    info = require_whole(source)
    even_height, even_width = info.height - info.height % 2, info.width - info.width % 2
    started = time.monotonic()
    with ExitStack() as stack:
        writer = stack.enter_context(
            VideoWriter(output, even_width, even_height, info.fps, "h264", audio_from=source)
        )
        pair = None
        if compare is not None:
            pair = stack.enter_context(_comparison(compare, even_width, even_height, info, source))
        originals: deque[np.ndarray] = deque()
        frames = 0
        bar = stack.enter_context(tqdm(total=info.frames, desc=output.name, unit="frame"))
        for restored in restore_stream(_keep(iterate_frames(source), originals), restore, window, overlap):
            original = originals.popleft()
            # H.264 in yuv420p has even sides.
            restored = restored[:even_height, :even_width]
            writer.write(restored)
            if pair is not None:
                pair.write(side_by_side(original[:even_height, :even_width], restored, ("input", "enhanced")))
            bar.update()
            frames += 1
    return Enhanced(output, frames, time.monotonic() - started)


def side_by_side(left: np.ndarray, right: np.ndarray, titles: tuple[str, str]) -> np.ndarray:
    """Two frames (H, W, 3) next to each other, enlarged to at least 256 px high, with their titles."""
    factor = max(1, -(-256 // left.shape[0]))
    panels = []
    for frame, title in zip((left, right), titles, strict=True):
        panel = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(panel, title, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA)
        panels.append(panel)
    return np.concatenate(panels, axis=1)


def _comparison(path: Path | str, width: int, height: int, info: VideoInfo, source: Path) -> VideoWriter:
    sample = np.zeros((height, width, 3), np.uint8)
    shape = side_by_side(sample, sample, ("", "")).shape
    return VideoWriter(path, shape[1], shape[0], info.fps, "h264", audio_from=source)


def _keep(frames: Iterator[np.ndarray], kept: deque[np.ndarray]) -> Iterator[np.ndarray]:
    """Remember the frames that are not yet restored: at most a window of them."""
    for frame in frames:
        kept.append(frame)
        yield frame
