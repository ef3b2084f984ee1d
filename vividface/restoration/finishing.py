"""What is done to windows behind the model: faces are pasted, and the windows blended into each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vividface.faces.base import FaceBackend
from vividface.faces.hands import HandFinder
from vividface.restoration.geometry import Geometry
from vividface.restoration.paste import Correction, FacePaste, RestoredFace
from vividface.restoration.prepared import Pending
from vividface.restoration.streaming import Blend, RestoredFrames, Window


@dataclass(frozen=True)
class FinishedFrames:
    """Frames that are done.

    Attributes:
        restored: the frames, and where restoration resumes behind them.
        people: state of `People` there; empty where there is none.
    """

    restored: RestoredFrames[Pending]
    people: dict[str, Any]


class Finisher:
    """Pastes the faces of one window after the other, and blends the windows.

    Args:
        geometry: shape of the pixels.
        backend: face backend, which parses faces; None where whole frames are restored.
        grain: strength of the input's grain in restored pixels, 0 to 1.
        hands: networks that find hands in front of faces; None looks for none.
        tells_good: whether a face that the model left as it was counts as good.
        correct: correction of frames that are restored as a whole.
    """

    def __init__(
        self,
        geometry: Geometry,
        backend: FaceBackend | None,
        *,
        grain: float,
        hands: HandFinder | None,
        tells_good: bool,
        correct: Correction,
    ) -> None:
        self._geometry, self._backend = geometry, backend
        self._grain, self._hands, self._tells_good = grain, hands, tells_good
        self._correct = correct
        self._blend = Blend[Pending]()
        self._window: Window[Pending] | None = None
        self._paste: FacePaste | None = None
        self._whole: list[np.ndarray] = []
        self._people: dict[str, Any] = {}

    def begin(self, window: Window[Pending], people: dict[str, Any]) -> FinishedFrames | None:
        """Begin the next window.

        Args:
            window: the window.
            people: state of `People` before it.

        Returns:
            frames of the windows before that this one does not change; None where there are none.
        """
        finished = self._finished(window.start, people)
        self._window, self._people = window, people
        if self._backend is not None:
            frames = [pending.frame for pending in window.items]
            self._paste = FacePaste(frames, backend=self._backend, grain=self._grain, hands=self._hands)
        return finished

    def add_face(self, face: RestoredFace) -> None:
        """Paste a face of the window."""
        assert self._paste is not None
        self._paste.add(face)

    def add_whole(self, restored: np.ndarray, lq: np.ndarray) -> None:
        """Take the frames (F, H, W, 3) of the window, restored as a whole, and what they were before."""
        self._whole = list(self._correct(restored, lq))

    def end(self, people: dict[str, Any]) -> FinishedFrames | None:
        """Finish the last window.

        Args:
            people: state of `People` behind it.

        Returns:
            the last frames; None where there are none.
        """
        end = 0 if self._window is None else self._window.start + len(self._window.items)
        return self._finished(end, people)

    def _finished(self, before: int, people: dict[str, Any]) -> FinishedFrames | None:
        """Blend the window, and take out what is done before the index of a frame."""
        if self._window is None:
            return None
        self._blend.add(self._window, self._brought_back(self._window.items))
        done = self._blend.finish(before)
        # A window that fades into the next is restored again.
        return None if done is None else FinishedFrames(done, self._people if done.skip else people)

    def _brought_back(self, window: Sequence[Pending]) -> list[np.ndarray]:
        """Restored frames as the result stores them, without square pixels."""
        restored = self._whole
        if self._paste is not None:
            pasted = self._paste.result
            restored = pasted.frames
            for pending, has_face, left in zip(window, pasted.has_face, pasted.left, strict=True):
                pending.has_face |= has_face
                pending.left |= left if self._tells_good else left - {"good"}
        return [
            self._geometry.brought_back(pending.original, pending.frame.pixels, frame)
            for pending, frame in zip(window, restored, strict=True)
        ]
