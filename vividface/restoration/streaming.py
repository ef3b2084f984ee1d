"""Long videos in constant memory: overlapping windows of frames, blended where they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from vividface.restoration.base import Restorer

Item = TypeVar("Item")


@dataclass(frozen=True)
class Window(Generic[Item]):
    """Successive frames of one shot that are restored at once.

    Attributes:
        start: index of the first frame.
        items: items of the stream, one per frame.
    """

    start: int
    items: list[Item]


@dataclass(frozen=True)
class RestoredFrames(Generic[Item]):
    """Frames that no later window changes.

    Attributes:
        items: items that were restored, one per frame.
        frames: the restored frames, (H, W, 3) each.
        resume_at: index of the frame at which reading has to begin to resume behind these frames.
        skip: number of frames from there on that are restored already.
    """

    items: list[Item]
    frames: list[np.ndarray]
    resume_at: int
    skip: int


def split_windows(
    items: Iterable[Item],
    *,
    window: int,
    overlap: int,
    starts_shot: Callable[[Item], bool] = lambda _: False,
    first: int = 0,
) -> Iterator[Window[Item]]:
    """Split a stream of frames into windows.

    Consecutive windows of a shot share `overlap` frames. The last one begins earlier where it would hold
    fewer frames than the others, so that only a shot that is shorter than a window has a shorter one. No
    window crosses a cut.

    Args:
        items: stream with one item per frame.
        window: number of frames restored at once.
        overlap: number of frames that two windows share; at most half a window, so that a window's last
            frames are its own and restoration can resume from any window.
        starts_shot: function that tells whether a cut lies before an item; the first item always starts a
            shot.
        first: index of the first item.

    Raises:
        ValueError: the overlap is too long.
    """
    if not 0 <= 2 * overlap <= window:
        raise ValueError(f"an overlap of {overlap} frames is more than half a window of {window}")
    step = window - overlap
    # The items from the last window's first on, as far as they were read, or from the shot's first.
    current: list[Item] = []
    start, is_split = first, False

    def rest() -> Iterator[Window[Item]]:
        if current and not is_split:
            yield Window(start, list(current))
        elif len(current) > window:
            yield Window(start + len(current) - window, current[-window:])

    for item in items:
        if current and starts_shot(item):
            yield from rest()
            start, current, is_split = start + len(current), [], False
        current.append(item)
        if len(current) == window + step * is_split:
            if is_split:
                start, current = start + step, current[step:]
            is_split = True
            yield Window(start, list(current))
    yield from rest()


class Blend(Generic[Item]):
    """Blends restored windows into each other: frames of both fade linearly from the earlier to the later.

    The windows come in order, and what is kept is one window, or two where a shot ends.
    """

    def __init__(self) -> None:
        self._start, self._num_faded = 0, 0
        self._items: list[Item] = []
        self._frames: list[np.ndarray] = []

    def finish(self, before: int) -> RestoredFrames[Item] | None:
        """Take out the frames that no later window changes.

        Args:
            before: index of the next window's first frame, or the number of frames if there is none.

        Returns:
            frames up to there; None where there are none, or where two fades meet: these frames come with
            the next window's, as no run could be resumed between them.
        """
        count = before - self._start
        if not self._items or count < self._num_faded:
            return None
        rest = len(self._items) - count
        resume_at, skip = (self._start, count) if rest else (before, 0)
        done = RestoredFrames(self._items[:count], self._frames[:count], resume_at, skip)
        self._items, self._frames = self._items[count:], self._frames[count:]
        self._start, self._num_faded = before, 0
        return done

    def add(self, window: Window[Item], frames: list[np.ndarray]) -> None:
        """Take the next window.

        Args:
            window: the window, behind a call of `finish` with its first frame.
            frames: its restored frames (H, W, 3).
        """
        if not self._items:
            self._start = window.start
        count = window.start - self._start
        self._num_faded = len(self._items)
        self._frames = self._frames[:count] + _fade(self._frames[count:], frames)
        self._items = self._items[:count] + window.items


def restore_windows(
    items: Iterable[Item],
    restore: Callable[[Sequence[Item]], list[np.ndarray]],
    *,
    window: int,
    overlap: int,
    starts_shot: Callable[[Item], bool] = lambda _: False,
    first: int = 0,
) -> Iterator[RestoredFrames[Item]]:
    """Restore a stream of frames window by window, so that no seam is visible where they meet.

    Args:
        items: stream with one item per frame: an array (H, W, 3), or anything else that `restore` takes.
        restore: function of F items that gives F restored frames.
        window: number of frames restored at once; see `split_windows`.
        overlap: number of frames that two windows share.
        starts_shot: function that tells whether a cut lies before an item.
        first: index of the first item.

    Yields:
        the frames of each window that no later one changes, in order: as many in all as there are items.

    Raises:
        ValueError: the overlap is too long.
    """
    blend, end = Blend[Item](), first
    windows = split_windows(items, window=window, overlap=overlap, starts_shot=starts_shot, first=first)
    for part in windows:
        if (done := blend.finish(part.start)) is not None:
            yield done
        blend.add(part, restore(part.items))
        end = part.start + len(part.items)
    if (done := blend.finish(end)) is not None:
        yield done


def restore_stream(
    frames: Iterable[np.ndarray], restore: Restorer, *, window: int, overlap: int
) -> Iterator[np.ndarray]:
    """`restore_windows` for plain frames.

    Args:
        frames: stream of frames (H, W, 3) uint8.
        restore: function of frames (F, H, W, 3) uint8 that gives the same shape and type.
        window: number of frames restored at once.
        overlap: number of frames shared by two windows.

    Yields:
        restored frames (H, W, 3), one by one.
    """
    windows = restore_windows(
        frames, lambda part: list(restore(np.stack(part))), window=window, overlap=overlap
    )
    for restored in windows:
        yield from restored.frames


def _fade(tail: Sequence[np.ndarray], restored: list[np.ndarray]) -> list[np.ndarray]:
    """Blend the earlier window's last frames into the later window's first ones."""
    blended = []
    for index, (before, after) in enumerate(zip(tail, restored, strict=False)):
        weight = np.float32((index + 1) / (len(tail) + 1))
        blended.append(np.rint(before * (1 - weight) + after * weight).astype(after.dtype))
    return blended + restored[len(tail) :]
