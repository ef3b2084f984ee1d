"""One square window per clip that holds the face in all of its frames (section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.backend import Face

# The landmarks end at the brows; the forehead above them is about this share of the face's height.
_FOREHEAD = 0.5


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


def face_box(landmarks: np.ndarray) -> np.ndarray:
    """The box (4,) of the whole face, chin to forehead, from its landmarks (68, 2)."""
    x0, y0 = landmarks.min(axis=0)
    x1, y1 = landmarks.max(axis=0)
    return np.array([x0, y0 - _FOREHEAD * (y1 - y0), x1, y1], np.float32)


def track_faces(frames: list[list[Face]]) -> list[Face | None]:
    """Follow one person through a clip.

    The person is the one whose track, chained by overlap from frame to frame, covers the largest area over
    the clip: not the largest box of each frame, which would jump between people.

    Args:
        frames: the faces of each frame.

    Returns:
        the person's face in each frame, None where it was not found.
    """
    tracks: list[dict[int, Face]] = []
    for index, faces in enumerate(frames):
        free = list(tracks)
        for face in faces:
            best = max(free, key=lambda track: _overlap(track, face), default=None)
            if best is not None and _overlap(best, face) > 0.2:
                best[index] = face
                free = [track for track in free if track is not best]
            else:
                tracks.append({index: face})
    if not tracks:
        return [None] * len(frames)
    person = max(tracks, key=lambda track: sum(_area(face.box) for face in track.values()))
    return [person.get(index) for index in range(len(frames))]


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


def unified_window(boxes: np.ndarray, height: int, width: int, margin: float) -> Window:
    """The square that holds every box, widened by a margin, inside the frame where it fits.

    Args:
        boxes: (F, 4), x0, y0, x1, y1 in pixels.
        height: of the frame.
        width: of the frame.
        margin: added in all, as a share of the longer side of the boxes' union.
    """
    x0, y0 = boxes[:, :2].min(axis=0)
    x1, y1 = boxes[:, 2:].max(axis=0)
    # A window wider than the frame would need padding, so a frame that holds the face is preferred whole.
    size = float(max(x1 - x0, y1 - y0))
    size = max(size, min(size * (1 + margin), min(height, width)))
    side = max(int(np.ceil(size)), 1)
    x = _place((x0 + x1) / 2, side, width)
    y = _place((y0 + y1) / 2, side, height)
    return Window(x, y, side)


def crop(frame: np.ndarray, window: Window, size: int) -> np.ndarray:
    """Cut a window out of a frame (H, W, 3), edges replicated beyond it, and resize it to size x size."""
    height, width = frame.shape[:2]
    left, top = max(-window.x, 0), max(-window.y, 0)
    right = max(window.x + window.size - width, 0)
    bottom = max(window.y + window.size - height, 0)
    if left or top or right or bottom:
        frame = cv2.copyMakeBorder(frame, top, bottom, left, right, cv2.BORDER_REPLICATE)
    x, y = window.x + left, window.y + top
    patch = frame[y : y + window.size, x : x + window.size]
    interpolation = cv2.INTER_AREA if window.size > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(patch, (size, size), interpolation=interpolation))


def _place(centre: float, side: int, limit: int) -> int:
    start = round(centre - side / 2)
    if side >= limit:
        return (limit - side) // 2
    return min(max(start, 0), limit - side)


def _area(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def _overlap(track: dict[int, Face], face: Face) -> float:
    """Intersection over union with the track's last box."""
    last = track[max(track)].box
    corners = np.concatenate([np.maximum(last[:2], face.box[:2]), np.minimum(last[2:], face.box[2:])])
    shared = _area(corners)
    return shared / max(_area(last) + _area(face.box) - shared, 1e-6)
