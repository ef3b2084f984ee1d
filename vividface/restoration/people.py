"""The people of a video: who is who over windows and cuts, whom to restore, and how strongly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vividface.faces.base import Face, FaceBackend
from vividface.faces.tracking import overlap
from vividface.restoration.selection import Choice
from vividface.restoration.strength import identity_strength, steady

# People who are remembered, and those of whom no more is kept than the report says: who was out of sight for
# longest is forgotten first.
_REMEMBERED, _REPORTED = 32, 500
# Overlap above which a face in the next window is the same person's, and frames for which it may be lost.
_SAME_PLACE, _GAP = 0.2, 25
# How much larger another face of the shot has to be to become the largest, and the share of a face's area
# that counts on in the next window.
_LARGER, _KEPT = 1.5, 0.75

# The face of one person in each frame of a window, None where it was not found.
Track = list[Face | None]


@dataclass(kw_only=True)
class Person:
    """A person, as far as the video was read; all values are JSON's.

    Attributes:
        number: number of the person, from 1, in the order of their appearance.
        identity: sum of the identities of all windows, (D,).
        shot: number of the shot of the last window with the person.
        frame: index of the last frame with the person.
        box: box of the face in that frame, px.
        area: area of the face, summed over the windows of that shot, the latest most, px.
        is_chosen: whether the person is to be restored.
        strengths: strengths in the last window, from the frame `start` on.
        start: index of the first frame of `strengths`.
        lowest_strength: lowest strength that the person needed; None where the face was never restored.
        lowest_cosine: lowest cosine of the face's identities before and after a restoration at full strength;
            None where it was not measured.
    """

    number: int
    identity: list[float]
    shot: int = 0
    frame: int = 0
    box: list[float] = field(default_factory=list)
    area: float = 0
    is_chosen: bool = False
    strengths: list[float] = field(default_factory=list)
    start: int = 0
    lowest_strength: float | None = None
    lowest_cosine: float | None = None

    def mean_identity(self) -> np.ndarray:
        """The mean of all identities, (D,), of unit length."""
        mean = np.asarray(self.identity)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-6))

    def strength_before(self, frame: int) -> float | None:
        """The strength in the frame before one; None if the person was out of sight."""
        last = self.start + len(self.strengths) - 1
        if not self.strengths or frame - 1 < self.start or frame - 1 > last + _GAP:
            return None
        return self.strengths[min(frame - 1, last) - self.start]

    @property
    def was_restored(self) -> bool:
        """Whether the face was restored in any window."""
        return self.lowest_strength is not None

    def report(self) -> dict[str, float | None]:
        """What `--json` says of the person."""
        return {"person": self.number, "strength": self.lowest_strength, "cosine": self.lowest_cosine}


class People:
    """Ties the faces of a window to the people of those before, by their place and by identity.

    Windows come in order. What is kept is a bounded number of people, so that a video of any length is
    followed in constant memory; `state` and `resume` carry it over an interruption.

    Args:
        backend: backend that embeds the faces.
        choice: faces to restore.
        is_auto: whether the strength is lowered for a person whose restored face becomes another's.
    """

    def __init__(self, backend: FaceBackend, choice: Choice, *, is_auto: bool) -> None:
        self._backend, self._choice, self._is_auto = backend, choice, is_auto
        self._people: list[Person] = []
        self._forgotten: list[dict[str, float | None]] = []
        self._num_people, self._shot = 0, 0
        self._first, self._times = 0, list[int]()
        self._met: list[Person] = []

    def enter_window(self, *, first: int, times: Sequence[int], starts_shot: bool) -> None:
        """Begin the next window.

        Args:
            first: index of its first frame.
            times: times of its pictures, in units of the source's time base.
            starts_shot: whether a cut lies before it.
        """
        self._first, self._times = first, list(times)
        if starts_shot:
            self._shot += 1
            for person in self._people:
                person.strengths = []
                person.is_chosen &= self._choice.kind == "person"

    def meet(self, tracks: Sequence[Track], identities: Sequence[np.ndarray]) -> None:
        """Tell who the people of the window are, and whom of them to restore.

        Args:
            tracks: faces of each person of the window.
            identities: mean identity of each, (D,), of unit length.
        """
        known = _best(self._by_place(tracks))
        known |= _best(self._by_identity(identities, known))
        self._met = [known.get(index) or self._new(identities[index]) for index in range(len(tracks))]
        for person, track, identity in zip(self._met, tracks, identities, strict=True):
            self._remember(person, track, identity)
        self._choose(tracks, identities)
        for number, person in enumerate(self._met):
            if not self.is_restored(number):
                person.start, person.strengths = self._first, [0.0] * len(tracks[number])
        self._forget()

    def is_restored(self, number: int) -> bool:
        """Whether the restoration of a person of the window is seen, if only until it is faded out."""
        person = self._met[number]
        return person.is_chosen or bool(person.strength_before(self._first))

    def weights(
        self,
        number: int,
        crops: np.ndarray,
        restored: np.ndarray,
        faces: Sequence[Face],
        *,
        start: int,
    ) -> np.ndarray:
        """The strength of a person's restoration in each frame, continuous over windows.

        Args:
            number: number of the track in the window.
            crops: crops of the face (F, S, S, 3), uint8 or uint16.
            restored: restored crops of the same shape and type.
            faces: the face in each crop.
            start: index of the first crop's frame in the window.

        Returns:
            (F,) float32, in [0, 1].
        """
        person, target = self._met[number], float(self._met[number].is_chosen)
        if self._is_auto and person.is_chosen:
            threshold = self._backend.same_person
            cosine, target = identity_strength(self._backend, crops, restored, faces, threshold=threshold)
            person.lowest_cosine = _lower(person.lowest_cosine, cosine)
        if person.is_chosen:
            person.lowest_strength = _lower(person.lowest_strength, target)
        frame = self._first + start
        strengths = steady(person.strength_before(frame), target, len(crops))
        person.start, person.strengths = frame, strengths.tolist()
        return strengths

    def report(self) -> list[dict[str, float | None]]:
        """Number, lowest strength and lowest cosine of each person who was restored."""
        people = sorted(self._people, key=lambda person: person.number)
        return [*self._forgotten, *(person.report() for person in people if person.was_restored)]

    def notes(self) -> list[str]:
        """A sentence about the people who needed a lower strength, if there are any."""
        people = self.report()
        lowered = [(person["strength"], person["cosine"]) for person in people if person["strength"] != 1]
        if not lowered:
            return []
        strength, cosine = (
            min(value for value in values if value is not None) for values in zip(*lowered, strict=True)
        )
        return [
            f"the strength was lowered, down to {strength:.2f}, for {len(lowered)} of {len(people)} people, "
            f"whose restored face would be another's (lowest cosine {cosine:.3f})"
        ]

    def state(self) -> dict[str, Any]:
        """What `resume` continues from, as JSON."""
        people = [asdict(person) for person in self._people]
        return {
            "people": people,
            "forgotten": list(self._forgotten),
            "num_people": self._num_people,
            "shot": self._shot,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self._people = [Person(**person) for person in state["people"]]
        self._forgotten = list(state["forgotten"])
        self._num_people, self._shot = state["num_people"], state["shot"]

    def _by_place(self, tracks: Sequence[Track]) -> Iterator[tuple[float, int, Person]]:
        for person in self._people:
            if person.shot != self._shot:
                continue
            for index, track in enumerate(tracks):
                frame, face = _nearest(track, person.frame - self._first)
                if abs(self._first + frame - person.frame) <= _GAP:
                    shared = overlap(np.asarray(person.box), face.box)
                    if shared > _SAME_PLACE:
                        yield shared, index, person

    def _by_identity(
        self, identities: Sequence[np.ndarray], known: dict[int, Person]
    ) -> Iterator[tuple[float, int, Person]]:
        taken = [person.number for person in known.values()]
        for index, identity in enumerate(identities):
            for person in self._people:
                if index not in known and person.number not in taken:
                    similarity = float(person.mean_identity() @ identity)
                    if similarity > self._backend.same_person:
                        yield similarity, index, person

    def _new(self, identity: np.ndarray) -> Person:
        self._num_people += 1
        person = Person(number=self._num_people, identity=[0.0] * len(identity), shot=self._shot)
        self._people.append(person)
        return person

    def _remember(self, person: Person, track: Track, identity: np.ndarray) -> None:
        if person.shot != self._shot:
            person.shot, person.area = self._shot, 0
        person.identity = (np.asarray(person.identity) + identity).tolist()
        found = {index: face for index, face in enumerate(track) if face is not None}
        last = max(found)
        person.frame, person.box = self._first + last, found[last].box.tolist()
        area = float(sum(np.prod(face.box[2:] - face.box[:2]) for face in found.values()))
        person.area = _KEPT * person.area + area

    def _forget(self) -> None:
        people = sorted(self._people, key=lambda person: -person.frame)
        self._people, forgotten = people[:_REMEMBERED], people[_REMEMBERED:]
        self._forgotten += [person.report() for person in forgotten if person.was_restored]
        self._forgotten = self._forgotten[-_REPORTED:]

    def _choose(self, tracks: Sequence[Track], identities: Sequence[np.ndarray]) -> None:
        if self._choice.kind == "all":
            for person in self._met:
                person.is_chosen = True
        elif self._choice.kind == "largest":
            self._choose_largest()
        else:
            self._choose_person(tracks, identities)

    def _choose_largest(self) -> None:
        if not self._met:
            return
        largest = max(self._met, key=lambda person: person.area)
        before = next((person for person in self._met if person.is_chosen), None)
        if before is not None and largest.area < _LARGER * before.area:
            largest = before
        for person in self._people:
            person.is_chosen = person is largest

    def _choose_person(self, tracks: Sequence[Track], identities: Sequence[np.ndarray]) -> None:
        pointed = self._pointed_at(tracks)
        if pointed is not None:
            self._met[pointed].is_chosen = True
        chosen = [index for index, person in enumerate(self._met) if person.is_chosen]
        similar = [
            (max(self._choice.similarity(identity), self._choice.similarity(person.mean_identity())), index)
            for index, (person, identity) in enumerate(zip(self._met, identities, strict=True))
        ]
        for similarity, index in sorted(similar, reverse=True):
            # One person is not seen twice in a frame.
            beside = any(_meet(tracks[index], tracks[other]) for other in chosen)
            if similarity > self._backend.same_person and not beside:
                self._met[index].is_chosen = True
                chosen.append(index)

    def _pointed_at(self, tracks: Sequence[Track]) -> int | None:
        """The track whose face covers the chosen point at the chosen time, if that lies in the window."""
        if self._choice.time not in self._times:
            return None
        frame = self._times.index(self._choice.time)
        faces = [track[frame] for track in tracks]
        return self._choice.pointed_at(faces)


def _best(pairs: Iterable[tuple[float, int, Person]]) -> dict[int, Person]:
    """The person of each track, those that fit best first, each person once."""
    best: dict[int, Person] = {}
    for _, track, person in sorted(pairs, key=lambda pair: pair[0], reverse=True):
        if track not in best and not any(person is other for other in best.values()):
            best[track] = person
    return best


def _lower(before: float | None, value: float) -> float:
    return value if before is None else min(before, value)


def _nearest(track: Track, frame: int) -> tuple[int, Face]:
    """The face of a track nearest to a frame, and its frame."""
    found = [(abs(index - frame), index, face) for index, face in enumerate(track) if face is not None]
    _, index, face = min(found, key=lambda entry: entry[:2])
    return index, face


def _meet(one: Track, other: Track) -> bool:
    """Whether two tracks are in one frame."""
    return any(a is not None and b is not None for a, b in zip(one, other, strict=True))
