"""The restoration of a source's pictures, window by window, with their faces."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import cv2
import numpy as np

from vividface.config import EnhanceConfig
from vividface.cuts import CutDetector
from vividface.errors import InputError
from vividface.faces.base import Face, FaceBackend
from vividface.faces.tracking import BRIDGE, GapBridge
from vividface.faces.turned import detect
from vividface.restoration.base import Restorer
from vividface.restoration.colour import correct_colours, keep_neutral
from vividface.restoration.geometry import Geometry
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.paste import FaceFrame, restore_faces
from vividface.restoration.people import People
from vividface.restoration.reading import Picture, Source
from vividface.restoration.results import result_size
from vividface.restoration.selection import choose_face
from vividface.restoration.streaming import RestoredFrames, restore_windows
from vividface.restoration.transparency import visible_colours
from vividface.streams import read_ahead
from vividface.video import batched, eight_bits

# Frames in which faces are looked for at once.
_BATCH = 8


@dataclass
class Pending:
    """A picture on its way through the model.

    Attributes:
        index: index of the picture.
        picture: picture as it was read.
        original: pixels of the picture at the result's size.
        frame: the same with square pixels, and its faces.
        starts_shot: whether a cut lies before it.
        has_face: whether a face was restored in it, in any of its windows.
        left: reasons for which faces of it were left alone, in any of its windows.
    """

    index: int
    picture: Picture
    original: np.ndarray
    frame: FaceFrame
    starts_shot: bool
    has_face: bool = False
    left: set[str] = field(default_factory=set)


class WindowRestorer:
    """The restoration of a source's pictures, window by window.

    Args:
        source: opened source.
        restorer: loaded model and face backend.
        config: windows, cuts, faces, strength and colours.

    Attributes:
        choice: whose faces are restored.
        people: people of the video; None where everybody is restored alike.

    Raises:
        InputError: the chosen face is not there, or the mode `crop` has a choice that needs faces.
    """

    def __init__(self, source: Source, restorer: FaceRestorer, config: EnhanceConfig) -> None:
        self._source, self._restorer, self._config = source, restorer, config
        self._size = result_size(source, config.scale)
        self._geometry = Geometry(source.look.pixel_aspect)
        self.choice = choose_face(config.face, source, restorer.backend, scale=config.scale)
        self._model: Restorer = restorer.restore
        if config.strength not in ("auto", 1):
            self._model = partial(restorer.restore, strength=float(config.strength))
        self.people: People | None = None
        if config.strength == "auto" or self.choice.kind != "all":
            is_auto = config.strength == "auto"
            self.people = People(_identity_backend(restorer), self.choice, is_auto=is_auto)
        self._before: dict[str, Any] = {}

    def restored(self, *, first: int, people: dict[str, Any]) -> Iterator[RestoredFrames[Pending]]:
        """Restored frames.

        Args:
            first: index of the source's picture to begin at.
            people: `state` there; empty at the beginning.
        """
        if self.people is not None and people:
            self.people.resume(people)
        # What lies before decides where a face is lost, and where a cut is.
        before = min(first, BRIDGE)
        prepared = self._bridged(self._prepared(self._source.pictures(first - before), first - before))
        return restore_windows(
            read_ahead(islice(prepared, before, None), size=self._config.window),
            self._restore,
            window=self._config.window,
            overlap=self._config.overlap,
            starts_shot=lambda pending: pending.starts_shot,
            first=first,
        )

    @property
    def finds_faces(self) -> bool:
        """Whether faces are looked for: not in the mode `crop`."""
        return self._restorer.backend is not None

    def shot(self, pictures: Sequence[Picture]) -> tuple[list[Pending], list[np.ndarray]]:
        """The pictures of one shot, few enough for a window, and their restored frames."""
        window = list(self._bridged(self._prepared(pictures, 0)))
        window[0].starts_shot = True
        return window, self._restore(window)

    def state(self, window: RestoredFrames[Pending] | None = None) -> dict[str, Any]:
        """What `restored` resumes with behind a window that it gave last, or at the end; for JSON."""
        if self.people is None:
            return {}
        # A window that fades into the next is restored again.
        return self._before if window is not None and window.skip else self.people.state()

    def _prepared(self, pictures: Iterable[Picture], first: int) -> Iterator[Pending]:
        """Pictures at the result's size, with their faces and the cuts before them."""
        cuts = CutDetector(self._config.cut_threshold) if self._config.cut_threshold else None
        backend = self._restorer.backend
        for batch in batched(enumerate(pictures, first), _BATCH if backend is not None else 1):
            scaled = [self._scaled(visible_colours(picture)) for _, picture in batch]
            square = [self._geometry.stretched(pixels) for pixels in scaled]
            in_eight_bits = [eight_bits(pixels) for pixels in square]
            faces: list[list[Face]] = [[] for _ in batch]
            if backend is not None:
                faces = detect(backend, in_eight_bits)
            for place, (index, picture) in enumerate(batch):
                starts_shot = cuts is not None and cuts.starts_shot(in_eight_bits[place])
                frame = FaceFrame(square[place], faces[place], index)
                yield Pending(index, picture, scaled[place], frame, starts_shot)

    def _bridged(self, pictures: Iterable[Pending]) -> Iterator[Pending]:
        """The same, `BRIDGE` frames later, with the faces that were lost for a moment."""
        bridge, waiting = GapBridge(), deque[Pending]()
        for pending in pictures:
            bridge.add(pending.frame.faces, starts_shot=pending.starts_shot)
            waiting.append(pending)
            if len(waiting) > BRIDGE:
                yield waiting.popleft()
        yield from waiting

    def _restore(self, window: Sequence[Pending]) -> list[np.ndarray]:
        frames = [pending.frame for pending in window]
        if self.people is not None:
            self._before = self.people.state()
            times = [pending.picture.time for pending in window]
            self.people.enter_window(first=window[0].index, times=times, starts_shot=window[0].starts_shot)
        if self._restorer.backend is None:
            return self._brought_back(window, self._corrected(np.stack([frame.pixels for frame in frames])))
        pasted = restore_faces(
            frames,
            self._corrected,
            backend=self._restorer.backend,
            size=self._restorer.size,
            margin=self._config.margin,
            min_face=self._config.min_face,
            people=self.people,
            max_turn=self._config.max_turn,
            grain=self._config.grain,
            hands=self._restorer.hands if self._config.hands else None,
        )
        for pending, has_face, left in zip(window, pasted.has_face, pasted.left, strict=True):
            pending.has_face |= has_face
            # At strength 0 no face tells whether it is good.
            pending.left |= left if self._config.strength != 0 else left - {"good"}
        return self._brought_back(window, pasted.frames)

    def _brought_back(self, window: Sequence[Pending], restored: Iterable[np.ndarray]) -> list[np.ndarray]:
        """Restored frames with square pixels, as the result stores them."""
        return [
            self._geometry.brought_back(pending.original, pending.frame.pixels, frame)
            for pending, frame in zip(window, restored, strict=True)
        ]

    def _corrected(self, frames: np.ndarray) -> np.ndarray:
        restored = correct_colours(self._model(frames), frames, kind=self._config.colour)
        return keep_neutral(restored, frames)

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[1::-1] == self._size:
            return pixels
        interpolation = cv2.INTER_AREA if self._config.scale < 1 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(pixels, self._size, interpolation=interpolation))


def _identity_backend(restorer: FaceRestorer) -> FaceBackend:
    if restorer.backend is None:
        raise InputError(
            "--strength auto: the mode crop looks for no faces; give a number, or use --mode full"
        )
    return restorer.backend
