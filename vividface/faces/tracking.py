"""Following one person through a clip in which there may be several."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from vividface.faces.base import Face, FaceBackend

# Overlap (intersection over union) above which the faces of two successive frames may be one person's.
_OVERLAP = 0.2
# Frames without detection after which a face in the same place is only taken for the same person by identity.
_GAP = 25
# Frames for which a face may be lost and is taken to be there all the same.
BRIDGE = 8
# Frames between two embeddings of a track, so that its mean identity does not rest on one pose.
_REFRESH = 25


@dataclass
class _Track:
    """One person's faces by the index of their frame, and embeddings of some of them."""

    faces: dict[int, Face] = field(default_factory=dict)
    identities: list[np.ndarray] = field(default_factory=list)
    # Embeds the first face: not needed as long as nobody else is seen.
    first: Callable[[], np.ndarray] | None = None

    @property
    def last_frame(self) -> int:
        return max(self.faces)

    @property
    def last_face(self) -> Face:
        return self.faces[self.last_frame]

    @property
    def identity(self) -> np.ndarray:
        self.embed_first()
        mean = np.mean(self.identities, axis=0)
        return np.asarray(mean / np.linalg.norm(mean))

    def embed_first(self) -> None:
        if self.first is not None:
            self.identities.append(self.first())
            self.first = None

    def area(self) -> float:
        return sum(_area(face.box) for face in self.faces.values())


class FaceTracker:
    """Joins the faces of successive frames to people, by overlap and, where that is ambiguous, by identity.

    Faces are embedded only where it is needed: as long as there is more than one person, when a face appears
    and now and then; when a person was out of sight; when the boxes of two people overlap. Frames are seen
    once, in order, so that a clip of any length is followed in constant memory.

    Args:
        backend: backend that embeds the faces.
    """

    def __init__(self, backend: FaceBackend) -> None:
        self._backend = backend
        self._tracks: list[_Track] = []
        self._num_frames = 0

    def update(self, frames: Sequence[np.ndarray], faces: Sequence[list[Face]]) -> None:
        """Follow everybody into the next frames.

        Args:
            frames: the frames, (H, W, 3) uint8, RGB.
            faces: the faces that were detected in each.
        """
        # By their places: a lazy frame is converted where its pixels are asked for.
        for place, faces_of_frame in zip(range(len(frames)), faces, strict=True):
            self._step(frames, place, faces_of_frame)
            self._num_frames += 1

    def person(self) -> list[Face | None]:
        """The face of one person in each frame, None where it was not found.

        The person is the one whose face covers the largest area over the clip: not the largest face of each
        frame, which would jump between people.
        """
        people = self.people()
        return people[0] if people else [None] * self._num_frames

    def people(self) -> list[list[Face | None]]:
        """Everybody's face in each frame, those with the largest faces, summed over the clip, first."""
        tracks = self._by_area()
        return [[track.faces.get(index) for index in range(self._num_frames)] for track in tracks]

    def identities(self) -> list[np.ndarray]:
        """The mean identity of each of `people`, (D,) float32, of unit length."""
        return [track.identity for track in self._by_area()]

    def _by_area(self) -> list[_Track]:
        return sorted(self._tracks, key=_Track.area, reverse=True)

    def _step(self, frames: Sequence[np.ndarray], place: int, faces: list[Face]) -> None:
        embedded: dict[int, np.ndarray] = {}

        def identity(index: int) -> np.ndarray:
            if index not in embedded:
                embedded[index] = self._embed(frames[place], faces[index])
            return embedded[index]

        assigned = self._by_overlap(faces, identity)
        for index, face in enumerate(faces):
            track = assigned.get(index)
            if track is None and (absent := self._absent(assigned)):
                track = self._seen_before(identity(index), absent)
            if track is None:
                track = _Track()
                self._tracks.append(track)
            assigned[index] = track
            track.faces[self._num_frames] = face
            refresh = len(self._tracks) > 1 and self._num_frames % _REFRESH == 0
            if index in embedded or refresh:
                track.identities.append(identity(index))
            elif not track.identities and track.first is None:
                track.first = partial(self._embed, frames[place], face)
        if len(self._tracks) > 1:
            # A track that waits holds a frame.
            for track in self._tracks:
                track.embed_first()

    def _embed(self, frame: np.ndarray, face: Face) -> np.ndarray:
        identity: np.ndarray = self._backend.embed([frame], [face])[0]
        return identity

    def _by_overlap(self, faces: list[Face], identity: Callable[[int], np.ndarray]) -> dict[int, _Track]:
        """The tracks that faces continue by their place, by the index of the face."""
        recent = [track for track in self._tracks if self._num_frames - track.last_frame <= _GAP]
        pairs = [
            (overlap(track.last_face.box, face.box), t, f)
            for t, track in enumerate(recent)
            for f, face in enumerate(faces)
        ]
        pairs = [pair for pair in pairs if pair[0] > _OVERLAP]
        rivals_of_track = {t: sum(pair[1] == t for pair in pairs) for _, t, _ in pairs}
        rivals_of_face = {f: sum(pair[2] == f for pair in pairs) for _, _, f in pairs}

        def certainty(pair: tuple[float, int, int]) -> tuple[bool, float]:
            shared, t, f = pair
            if rivals_of_track[t] == 1 and rivals_of_face[f] == 1:
                return True, shared
            return False, float(recent[t].identity @ identity(f))

        assigned: dict[int, _Track] = {}
        for _, t, f in sorted(pairs, key=certainty, reverse=True):
            if f not in assigned and not any(track is recent[t] for track in assigned.values()):
                assigned[f] = recent[t]
        return assigned

    def _absent(self, assigned: dict[int, _Track]) -> list[_Track]:
        """The people who are out of sight."""
        taken = list(assigned.values())
        return [
            track
            for track in self._tracks
            if track.last_frame < self._num_frames and not any(track is other for other in taken)
        ]

    def _seen_before(self, identity: np.ndarray, absent: list[_Track]) -> _Track | None:
        """Who of those out of sight is most similar to this face, if similar enough."""
        similarities = [(float(track.identity @ identity), index) for index, track in enumerate(absent)]
        similarity, index = max(similarities, default=(-1.0, 0))
        return absent[index] if similarity > self._backend.same_person else None


def follow(backend: FaceBackend, batches: Iterable[Sequence[np.ndarray]]) -> list[Face | None]:
    """One person's face in each frame of a clip, None where it was not found.

    Args:
        backend: backend that detects and embeds the faces.
        batches: the clip's frames (H, W, 3) uint8, RGB, in batches; each is seen once.
    """
    tracker = FaceTracker(backend)
    for frames in batches:
        tracker.update(frames, backend.detect(frames))
    return tracker.person()


class GapBridge:
    """Fills the frames of a stream in which a face is lost for a moment, up to `BRIDGE` of them.

    A face that appears where another was last seen a few frames before, and was lost since, is taken for the
    same: its boxes and landmarks between are interpolated. Frames are seen once, in order.
    """

    def __init__(self) -> None:
        self._recent: deque[list[Face]] = deque(maxlen=BRIDGE + 2)

    def add(self, faces: list[Face], *, starts_shot: bool) -> None:
        """Take the faces of the next frame.

        Args:
            faces: its faces; those that are lost in it are added to this list when they appear again, at most
                `BRIDGE` frames later.
            starts_shot: whether a cut lies before the frame.
        """
        if starts_shot:
            self._recent.clear()
        self._recent.append(faces)
        for face in list(faces):
            self._fill(face)

    def _fill(self, face: Face) -> None:
        """Fill the gap before a face of the newest frame, if there is one."""
        frames = list(self._recent)[::-1]
        for distance, earlier in enumerate(frames[1:], start=1):
            before = next((other for other in earlier if overlap(other.box, face.box) > _OVERLAP), None)
            if before is None:
                continue
            for step in range(1, distance):
                frames[step].append(between(face, before, step / distance))
            return


def between(after: Face, before: Face, share: float) -> Face:
    """A face between two, at a share of the way from the later one.

    Args:
        after: the later face.
        before: the earlier one.
        share: share of the way, in [0, 1]; 0 gives the later one.
    """
    return Face(
        after.box + np.float32(share) * (before.box - after.box),
        after.landmarks + np.float32(share) * (before.landmarks - after.landmarks),
        min(after.score, before.score),
    )


def interpolate(faces: list[Face | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes and landmarks of all frames; those of frames without a face are interpolated between neighbours.

    Args:
        faces: the face of each frame, None where it was not found.

    Returns:
        boxes (F, 4) float32, landmarks (F, K, 2) float32, and whether each frame's face was found, (F,) bool.

    Raises:
        ValueError: no frame has a face.
    """
    found = np.array([face is not None for face in faces])
    if not found.any():
        raise ValueError("no frame has a face")
    rows = [np.concatenate([face.box, face.landmarks.ravel()]) for face in faces if face is not None]
    times, times_found = np.arange(len(faces)), np.flatnonzero(found)
    columns = [np.interp(times, times_found, column) for column in np.stack(rows).T]
    values = np.stack(columns, axis=1).astype(np.float32)
    return values[:, :4], values[:, 4:].reshape(len(faces), -1, 2), found


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,), in [0, 1]."""
    shared = _area(np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])]))
    return shared / max(_area(a) + _area(b) - shared, 1e-6)


def _area(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))
