"""Choosing whose faces are restored: everybody's, the largest, or one person's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vividface.config.times import parse_point
from vividface.errors import InputError
from vividface.faces.base import Face, FaceBackend
from vividface.faces.crops import face_box
from vividface.faces.turned import detect
from vividface.restoration.geometry import Geometry
from vividface.restoration.image_source import ImageSource
from vividface.restoration.opening import open_source
from vividface.restoration.reading import Excerpt, Picture, Source
from vividface.video import IMAGE_SUFFIXES, eight_bits


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Whose faces are restored.

    Attributes:
        kind: `all`; `largest`, in each shot the person whose face is largest; `person`, one by identity.
        identity: identity of the person, (D,) float32, of unit length; None for the other kinds.
        point: (2,), x and y of a pixel of the person's face in the result with square pixels; None where a
            photo shows the person.
        time: time of the picture with that pixel, in units of the source's time base.
        description: phrase that says who it is.
    """

    kind: Literal["all", "largest", "person"] = "all"
    identity: np.ndarray | None = None
    point: np.ndarray | None = None
    time: int | None = None
    description: str = ""

    def similarity(self, identity: np.ndarray) -> float:
        """Cosine of the person's identity and another, (D,) of unit length."""
        return -1.0 if self.identity is None else float(self.identity @ identity)

    def pointed_at(self, faces: Sequence[Face | None]) -> int | None:
        """The index of the face that covers the point; of several, of the one whose middle is nearest."""
        return None if self.point is None else _at(faces, self.point)


def choose_face(face: str, source: Source, backend: FaceBackend | None, *, scale: float = 1) -> Choice:
    """The choice that `--face` names.

    Args:
        face: `all`, `largest`, `X,Y@TIME` (pixel of the upright input, seconds or HH:MM:SS), or the path of a
            photo of one person.
        source: opened source, in which a pixel is looked up.
        backend: face backend; None where no faces are looked for.
        scale: size of the result over that of the input.

    Raises:
        InputError: there is no face at the pixel, or not exactly one in the photo, or no backend.
    """
    require_choice(face, finds_faces=backend is not None)
    if backend is None or face == "all":
        return Choice()
    if face == "largest":
        return Choice(kind="largest")
    point = parse_point(face)
    if point is None:
        return _on_photo(Path(face), backend)
    x, y, time = point
    where = f"--face {face}"
    picture = next(source.part(Excerpt(start=time, num_frames=1)).pictures(), None)
    if picture is None:
        raise InputError(f"{where}: {source.path} ends before this time; give an earlier one")
    found, frame = _faces(picture, backend, Geometry(source.look.pixel_aspect))
    # Faces lie in a frame with square pixels.
    stretch = np.array(frame.shape[1::-1]) / source.size
    chosen = _at(found, stretch * (x, y))
    if chosen is None:
        middles = [np.rint(_middle(face) / stretch).astype(int) for face in found]
        places = ", ".join(f"{at[0]},{at[1]}" for at in middles)
        seen = f"faces are at {places}" if found else "no face was found in this picture"
        raise InputError(f"{where}: no face covers this pixel ({seen}); give a pixel inside of a face")
    return Choice(
        kind="person",
        identity=backend.embed([frame], [found[chosen]])[0],
        point=scale * stretch * (x, y),
        time=picture.time,
        description=f"the person at {face}",
    )


def require_choice(face: str, *, finds_faces: bool) -> None:
    """Raise `InputError` for a choice that no source has.

    Args:
        face: choice of `choose_face`.
        finds_faces: whether faces are looked for: not in the mode `crop`.
    """
    if face == "all":
        return
    if not finds_faces:
        raise InputError(f"--face {face}: the mode crop looks for no faces; leave it out, or use --mode full")
    path = Path(face)
    is_photo = path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES
    if face != "largest" and parse_point(face) is None and not is_photo:
        raise InputError(
            f"--face {face}: is no photo; give all, largest, X,Y@TIME, or the path of a person's photo"
        )


def _on_photo(path: Path, backend: FaceBackend) -> Choice:
    photo = open_source(path)
    assert isinstance(photo, ImageSource)
    found, frame = _faces(next(photo.pictures()), backend, Geometry(photo.look.pixel_aspect))
    if len(found) != 1:
        seen = f"{len(found)} faces were found" if found else "no face was found"
        raise InputError(f"--face {path}: {seen} in the photo; give one that shows the person's face alone")
    identity = backend.embed([frame], found)[0]
    return Choice(kind="person", identity=identity, description=f"the person of {path}")


def _faces(picture: Picture, backend: FaceBackend, geometry: Geometry) -> tuple[list[Face], np.ndarray]:
    frame = geometry.stretched(eight_bits(picture.pixels))
    return detect(backend, [frame])[0], frame


def _at(faces: Sequence[Face | None], point: np.ndarray) -> int | None:
    """The index of the face that covers a point; of several, of the one whose middle is nearest."""
    covering = []
    for index, face in enumerate(faces):
        if face is not None:
            low, high = _extent(face)
            if (low <= point).all() and (point <= high).all():
                covering.append((float(np.linalg.norm(_middle(face) - point)), index))
    return min(covering)[1] if covering else None


def _middle(face: Face) -> np.ndarray:
    return np.asarray((face.box[:2] + face.box[2:]) / 2)


def _extent(face: Face) -> tuple[np.ndarray, np.ndarray]:
    box = face_box(face.box, face.landmarks)
    return box[:2], box[2:]
