"""One square window per clip that holds the face in all of its frames (section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.backend import Face

# The forehead's height as a share of the distance from brows to chin, where landmarks and detector's box end.
_FOREHEAD = 0.5
# Overlap (intersection over union) above which the faces of two frames are one person's.
_SAME_PERSON = 0.2


@dataclass(frozen=True)
class Window:
    """A square in a frame's pixels; it may reach beyond the frame, which is then padded."""

    x: int
    y: int
    size: int

    def padding_share(self, height: int, width: int) -> float:
        """The share of the window's area that lies outside a frame of this size, in [0, 1]."""
        inside_x = max(0, min(self.x + self.size, width) - max(self.x, 0))
        inside_y = max(0, min(self.y + self.size, height) - max(self.y, 0))
        return 1 - inside_x * inside_y / self.size**2


def face_box(face: Face) -> np.ndarray:
    """The box (4,) float32 of the whole face, chin to hairline and ear to ear.

    It is the union of the detector's box and the landmarks' box, the latter raised by half its height, brows
    to chin: hairline, brows, base of the nose and chin divide a face into thirds.
    """
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    low = low - (0, _FOREHEAD * (high[1] - low[1]))
    corners = np.concatenate([np.minimum(low, face.box[:2]), np.maximum(high, face.box[2:])])
    return corners.astype(np.float32)


def track_faces(frames_faces: list[list[Face]]) -> list[Face | None]:
    """Follow one person through a clip.

    The faces of each frame are joined to the tracks by the overlap with each track's last box, the largest
    overlap first. The person is the track that covers the largest area over the clip: not the largest box of
    each frame, which would jump between people.

    Args:
        frames_faces: the faces of each frame.

    Returns:
        the person's face in each frame, None where it was not found.
    """
    tracks: list[dict[int, Face]] = []
    for index, faces in enumerate(frames_faces):
        for track, face in _match(tracks, faces):
            if track is None:
                tracks.append({index: face})
            else:
                track[index] = face
    if not tracks:
        return [None] * len(frames_faces)
    person = max(tracks, key=lambda track: sum(_area(face.box) for face in track.values()))
    return [person.get(index) for index in range(len(frames_faces))]


def interpolate_landmarks(faces: list[Face | None]) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of every frame; those of frames without a face are interpolated linearly in time.

    Returns:
        landmarks (F, 68, 2) float32 and whether each frame's face was found, (F,) bool.

    Raises:
        ValueError: no frame has a face.
    """
    found = np.array([face is not None for face in faces])
    known = np.flatnonzero(found)
    if not len(known):
        raise ValueError("no frame has a face")
    points = np.stack([face.landmarks.ravel() for face in faces if face is not None])
    times = np.arange(len(faces))
    columns = [np.interp(times, known, points[:, column]) for column in range(points.shape[1])]
    return np.stack(columns, axis=1).reshape(len(faces), -1, 2).astype(np.float32), found


def unified_window(boxes: np.ndarray, frame_height: int, frame_width: int, margin: float) -> Window:
    """The square that holds every box, widened by a margin and shifted into the frame where it fits.

    What lies outside the frame counts for nothing. Where the widened square is larger than the frame, the
    margin yields first, down to none: a window without padding is preferred. What is still larger than the
    frame is centred on it, to be padded.

    Args:
        boxes: (F, 4), x0, y0, x1, y1 in pixels.
        frame_height: in pixels.
        frame_width: in pixels.
        margin: added in all, half on either side, as a share of the longer side of the boxes' union.
    """
    frame = (frame_width, frame_height)
    x0, y0 = np.clip(boxes[:, :2].min(axis=0), 0, frame)
    x1, y1 = np.clip(boxes[:, 2:].max(axis=0), 0, frame)
    union = float(max(x1 - x0, y1 - y0))
    side = max(union, min(union * (1 + margin), min(frame)))
    size = max(int(np.ceil(side)), 1)
    return Window(_place((x0 + x1) / 2, size, frame_width), _place((y0 + y1) / 2, size, frame_height), size)


def crop(frame: np.ndarray, window: Window, size: int) -> np.ndarray:
    """Cut a window out of a frame (H, W, 3), replicating its edges beyond it, and resize it to size x size.

    Resized by averaging areas when shrinking, bicubically when growing.
    """
    height, width = frame.shape[:2]
    x0, y0 = max(window.x, 0), max(window.y, 0)
    x1, y1 = min(window.x + window.size, width), min(window.y + window.size, height)
    patch = frame[y0:y1, x0:x1]
    borders = (y0 - window.y, window.y + window.size - y1, x0 - window.x, window.x + window.size - x1)
    if any(borders):
        patch = cv2.copyMakeBorder(patch, *borders, cv2.BORDER_REPLICATE)
    interpolation = cv2.INTER_AREA if window.size > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(patch, (size, size), interpolation=interpolation))


def to_crop(landmarks: np.ndarray, window: Window, size: int) -> np.ndarray:
    """Landmarks (..., 2) in pixels of the frame as float32 pixels of the window's crop of size x size.

    Whole coordinates are pixels' centres, as dlib and OpenCV have them.
    """
    scale = size / window.size
    return ((landmarks - (window.x, window.y) + 0.5) * scale - 0.5).astype(np.float32)


def _place(centre: float, side: int, limit: int) -> int:
    start = round(centre - side / 2)
    if side >= limit:
        return (limit - side) // 2
    return min(max(start, 0), limit - side)


def _area(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def _match(tracks: list[dict[int, Face]], faces: list[Face]) -> list[tuple[dict[int, Face] | None, Face]]:
    """Each face of a frame with the track that it continues, or None where it begins one."""
    last = [track[max(track)] for track in tracks]
    pairs = [(_overlap(last[t], face), t, f) for t in range(len(tracks)) for f, face in enumerate(faces)]
    matched: dict[int, int] = {}
    for overlap, t, f in sorted(pairs, key=lambda pair: -pair[0]):
        if overlap > _SAME_PERSON and f not in matched and t not in matched.values():
            matched[f] = t
    return [(tracks[matched[f]] if f in matched else None, face) for f, face in enumerate(faces)]


def _overlap(first: Face, second: Face) -> float:
    """Intersection over union of the boxes."""
    a, b = first.box, second.box
    shared = _area(np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])]))
    return shared / max(_area(a) + _area(b) - shared, 1e-6)
