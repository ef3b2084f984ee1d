"""The restoration of a source's pictures, window by window, with their faces.

Reading, finding faces, cutting them out, the model and pasting are steps that run beside each other, each in
a thread of its own: the model in the caller's, the steps before it ahead, the one after it behind.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import cv2
import numpy as np

from vividface.config import EnhanceConfig
from vividface.errors import InputError
from vividface.faces.base import FaceBackend
from vividface.restoration.base import Restorer
from vividface.restoration.colour import correct_colours, keep_neutral
from vividface.restoration.compiled import FixedLengthRestorer
from vividface.restoration.cutting import CutFace, FollowedFaces, cut_faces, follow_faces
from vividface.restoration.finishing import FinishedFrames, Finisher
from vividface.restoration.geometry import Geometry
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.paste import RestoredFace
from vividface.restoration.people import People
from vividface.restoration.precision import NotFiniteError
from vividface.restoration.prepared import Pending, Preparation, begin_before
from vividface.restoration.reading import Picture, Source
from vividface.restoration.results import result_size
from vividface.restoration.selection import choose_face
from vividface.restoration.stages import Stages
from vividface.restoration.streaming import Window, split_windows
from vividface.streams import CallsBehind, StepsAhead

# What is cut out before the model asks for it: a window's people, and one face.
_CUT_AHEAD = 2
# Faces that wait to be pasted.
_PASTED_BEHIND = 2


@dataclass(frozen=True)
class _Entered:
    """A window whose people are followed; their faces come next.

    Attributes:
        window: the window.
        followed: its people; None where whole frames are restored.
    """

    window: Window[Pending]
    followed: FollowedFaces | None


# A window, then what the model is given of it: faces, or the whole frames (F, H, W, 3).
_Task = _Entered | CutFace | np.ndarray


class WindowRestorer:
    """The restoration of a source's pictures, window by window.

    Args:
        source: opened source.
        restorer: loaded model and face backend.
        config: windows, cuts, faces, strength and colours.

    Attributes:
        choice: whose faces are restored.
        people: people of the video; None where everybody is restored alike.
        stages: time that was spent so far, by stage.

    Raises:
        InputError: the chosen face is not there, or the mode `crop` has a choice that needs faces.
    """

    def __init__(self, source: Source, restorer: FaceRestorer, config: EnhanceConfig) -> None:
        self._source, self._restorer, self._config = source, restorer, config
        self._geometry = Geometry(source.look.pixel_aspect)
        self.stages = Stages()
        self._preparation = Preparation(
            size=result_size(source, config.scale),
            interpolation=cv2.INTER_AREA if config.scale < 1 else cv2.INTER_CUBIC,
            geometry=self._geometry,
            backend=restorer.backend,
            cut_threshold=config.cut_threshold,
            stages=self.stages,
        )
        self.choice = choose_face(config.face, source, restorer.backend, scale=config.scale)
        restore = self.stages.called("model", restorer.restore)
        if restorer.has_one_length:
            restore = FixedLengthRestorer(restore, min(config.window, max(source.num_frames, 1)))
        self._model: Restorer = restore
        if config.strength not in ("auto", 1):
            self._model = partial(restore, strength=float(config.strength))
        self.people: People | None = None
        if config.strength == "auto" or self.choice.kind != "all":
            is_auto = config.strength == "auto"
            self.people = People(_identity_backend(restorer), self.choice, is_auto=is_auto)

    def restored(self, *, first: int, people: dict[str, Any]) -> Generator[FinishedFrames, None, None]:
        """Restored frames, in order.

        Args:
            first: index of the source's picture to begin at.
            people: state of `People` there; empty at the beginning.

        Raises:
            InputError: the model gives no finite values. It and every other error, an interruption too, come
                behind the frames that are restored.
        """
        if self.people is not None and people:
            self.people.resume(people)
        begin = begin_before(first)
        with StepsAhead() as steps:
            pictures = self._preparation.prepared(self._source.pictures(begin), begin, steps)
            windows = split_windows(
                islice(pictures, first - begin, None),
                window=self._config.window,
                overlap=self._config.overlap,
                starts_shot=lambda pending: pending.starts_shot,
                first=first,
            )
            yield from self._finished(steps(self._cut(windows), size=_CUT_AHEAD))

    @property
    def finds_faces(self) -> bool:
        """Whether faces are looked for: not in the mode `crop`."""
        return self._restorer.backend is not None

    def shot(self, pictures: Sequence[Picture]) -> tuple[list[Pending], list[np.ndarray]]:
        """The pictures of one shot, few enough for a window, and their restored frames."""
        window = list(self._preparation.prepared(pictures, 0, None))
        window[0].starts_shot = True
        finished = self._finished(self._cut([Window(0, window)]))
        return window, [frame for part in finished for frame in part.restored.frames]

    def state(self) -> dict[str, Any]:
        """The state of `People`, as JSON; empty where there is none."""
        return {} if self.people is None else self.people.state()

    def _cut(self, windows: Iterable[Window[Pending]]) -> Iterator[_Task]:
        """What the model is given, window by window."""
        backend, config = self._restorer.backend, self._config
        for window in windows:
            frames = [pending.frame for pending in window.items]
            if backend is None:
                yield _Entered(window, None)
                yield np.stack([frame.pixels for frame in frames])
                continue
            with self.stages.running("pasting"):
                followed = follow_faces(frames, backend)
            yield _Entered(window, followed)
            faces = cut_faces(
                frames,
                followed,
                size=self._restorer.size,
                margin=config.margin,
                min_face=config.min_face,
                max_turn=config.max_turn,
            )
            yield from self.stages.iterated("pasting", faces)

    def _finished(self, tasks: Iterable[_Task]) -> Iterator[FinishedFrames]:
        """Call the model in this thread, and finish what it restored behind it in another."""
        config = self._config
        finisher = Finisher(
            self._geometry,
            self._restorer.backend,
            grain=config.grain,
            hands=self._restorer.hands if config.hands else None,
            # At strength 0 no face tells whether it is good.
            tells_good=config.strength != 0,
            correct=self._corrected,
        )
        paste = partial(self.stages.called, "pasting")
        problem: BaseException | None = None
        first = 0
        with CallsBehind(_PASTED_BEHIND) as behind:
            try:
                for task in tasks:
                    done: list[FinishedFrames | None] = []
                    if isinstance(task, _Entered):
                        first = task.window.start
                        done = behind(paste(finisher.begin), task.window, self.state())
                        self._meet(task)
                    elif isinstance(task, np.ndarray):
                        done = behind(paste(finisher.add_whole), self._called(task, first), task)
                    elif self.people is None or self.people.is_restored(task.number):
                        restore = partial(self._called, first=first + task.span.start)
                        with self.stages.running("pasting"):
                            face = RestoredFace(task, restore, correct=self._corrected, people=self.people)
                        done = behind(paste(finisher.add_face), face)
                    yield from _only_frames(done)
                yield from _only_frames(behind(paste(finisher.end), self.state()))
            except (KeyboardInterrupt, Exception) as error:
                problem = error
            yield from _only_frames(behind.finish())
        if problem is not None:
            raise problem

    def _meet(self, entered: _Entered) -> None:
        """Tell who the people of a window are: strengths and choices follow from the windows before."""
        if self.people is None or entered.followed is None:
            return
        items = entered.window.items
        times = [pending.picture.time for pending in items]
        self.people.enter_window(first=items[0].index, times=times, starts_shot=items[0].starts_shot)
        self.people.meet(entered.followed.tracks, entered.followed.identities())

    def _called(self, frames: np.ndarray, first: int) -> np.ndarray:
        """What the model gives, of frames whose first has an index."""
        try:
            return self._model(frames)
        except NotFiniteError as error:
            raise InputError(f"{self._source.path}: {error.sentence(first)}") from None

    def _corrected(self, restored: np.ndarray, lq: np.ndarray) -> np.ndarray:
        return keep_neutral(correct_colours(restored, lq, kind=self._config.colour), lq)


def _only_frames(results: list[FinishedFrames | None]) -> Iterator[FinishedFrames]:
    return (finished for finished in results if finished is not None)


def _identity_backend(restorer: FaceRestorer) -> FaceBackend:
    if restorer.backend is None:
        raise InputError(
            "--strength auto: the mode crop looks for no faces; give a number, or use --mode full"
        )
    return restorer.backend
