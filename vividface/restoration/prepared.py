"""The pictures of a source on their way to the model: at the result's size, with their faces and the cuts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from vividface.cuts import CutDetector
from vividface.faces.base import FaceBackend
from vividface.faces.sparse import EVERY, SparseDetector
from vividface.faces.tracking import BRIDGE, GapBridge
from vividface.restoration.cutting import FaceFrame
from vividface.restoration.geometry import Geometry
from vividface.restoration.reading import Picture
from vividface.restoration.stages import Stages
from vividface.restoration.transparency import visible_colours
from vividface.streams import StepsAhead
from vividface.video import batched, eight_bits

# Frames in which faces are looked for at once.
_BATCH = 2 * EVERY


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
    starts_shot: bool = False
    has_face: bool = False
    left: set[str] = field(default_factory=set)


def begin_before(first: int) -> int:
    """The index of the picture to begin at so that those from `first` on are prepared as in a whole run.

    What lies before decides which frames are looked at, where a face is lost, and where a cut is.
    """
    return max(first - BRIDGE - EVERY, 0) // _BATCH * _BATCH


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is done to every picture before the windows.

    Attributes:
        size: width and height of the result, px.
        interpolation: OpenCV's number of the interpolation to that size.
        geometry: shape of the pixels.
        backend: face backend; None looks for no faces.
        cut_threshold: threshold of `CutDetector`; None looks for no cuts.
        stages: time of the stages, which reading and finding faces count to.
    """

    size: tuple[int, int]
    interpolation: int
    geometry: Geometry
    backend: FaceBackend | None
    cut_threshold: float | None
    stages: Stages

    def prepared(
        self, pictures: Iterable[Picture], first: int, steps: StepsAhead | None
    ) -> Iterator[Pending]:
        """Pictures with their faces, also those that are lost for a moment, and with the cuts before them.

        Args:
            pictures: pictures as they are read.
            first: index of the first of them.
            steps: threads in which they are read, and in which faces are looked for; None: none.
        """
        batch = _BATCH if self.backend is not None else 1
        scaled = self._scaled(pictures, first)
        if steps is None:
            return self._bridged(self._looked_at(scaled, batch))
        found = self._bridged(self._looked_at(steps(scaled, size=batch), batch))
        return steps(found, size=batch)

    def _scaled(self, pictures: Iterable[Picture], first: int) -> Iterator[Pending]:
        for index, picture in enumerate(self.stages.iterated("reading", pictures), first):
            pixels = visible_colours(picture)
            if pixels.shape[1::-1] != self.size:
                pixels = np.asarray(cv2.resize(pixels, self.size, interpolation=self.interpolation))
            yield Pending(index, picture, pixels, FaceFrame(self.geometry.stretched(pixels), [], index))

    def _looked_at(self, pictures: Iterable[Pending], size: int) -> Iterator[Pending]:
        """The same with their faces and the cuts before them; faces are looked for in `size` at once."""
        cuts = CutDetector(self.cut_threshold) if self.cut_threshold else None
        detector = None if self.backend is None else SparseDetector(self.backend)
        for batch in batched(pictures, size):
            frames = [eight_bits(pending.frame.pixels) for pending in batch]
            for pending, frame in zip(batch, frames, strict=True):
                pending.starts_shot = cuts is not None and cuts.starts_shot(frame)
            if detector is not None:
                with self.stages.running("faces"):
                    found = detector.detect(frames, [pending.starts_shot for pending in batch])
                for pending, faces in zip(batch, found, strict=True):
                    pending.frame.faces.extend(faces)
            yield from batch

    def _bridged(self, pictures: Iterable[Pending]) -> Iterator[Pending]:
        """The same, `BRIDGE` frames later, with the faces that were lost for a moment."""
        bridge, waiting = GapBridge(), deque[Pending]()
        for pending in pictures:
            bridge.add(pending.frame.faces, starts_shot=pending.starts_shot)
            waiting.append(pending)
            if len(waiting) > BRIDGE:
                yield waiting.popleft()
        yield from waiting
