"""The parts that an enhancement is written in: their videos and images, and the folder that keeps them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np

from vividface.errors import InputError
from vividface.files import write_json
from vividface.restoration.drawing import side_by_side
from vividface.restoration.encoders import VideoTrack
from vividface.restoration.planes import changed, frame_of, from_rgb, stored_as, upright
from vividface.restoration.reading import Picture


class PartWriter(Protocol):
    """A file or folder that the pictures of a part are written to."""

    def write(self, pixels: np.ndarray, *, original: np.ndarray, stored: av.VideoFrame | None) -> None:
        """Append a picture.

        Args:
            pixels: restored picture (H, W, 3), uint8 or uint16, RGB.
            original: the picture before, at its own size.
            stored: the picture as it was decoded, which `original` shows; None where it shows none.
        """

    def close(self) -> None:
        """Finish; the part is complete after it."""


@dataclass(frozen=True)
class Part:
    """A complete piece of the result.

    Attributes:
        num_faces: number of pictures in which a face was restored.
        resume_at: index of the source's frame from which restoration resumes behind it.
        skip: number of frames from there on that are restored already.
        times: times of presentation, in units of the source's time base.
        durations: durations of the pictures, in the same units.
        people: state of `People` from which restoration resumes; empty where it has none.
        num_left: number of pictures in which a face was left alone, by the reason.
    """

    num_faces: int
    resume_at: int
    skip: int
    times: list[int]
    durations: list[int]
    people: dict[str, Any] = field(default_factory=dict)
    num_left: dict[str, int] = field(default_factory=dict)


class PartFolder:
    """The folder of the parts of an unfinished result, beside its future place, to resume a killed run from.

    Args:
        output: path of the result.
        settings: fingerprint of what the parts depend on; they are used again only where it is the same.
    """

    def __init__(self, output: Path, settings: dict[str, Any]) -> None:
        self.path = output.parent / f"{output.name}.partial"
        self._settings = json.loads(json.dumps(settings))

    def exists(self) -> bool:
        """Whether an earlier run left parts."""
        return self.path.exists()

    def begin(self) -> None:
        """Start anew; what an earlier run left is removed."""
        self.remove()
        self.path.mkdir(parents=True)
        write_json(self.path / "run.json", self._settings)

    def resume(self) -> list[Part]:
        """The complete parts of the earlier run; the rest of what it left is removed.

        Raises:
            InputError: it was another run: of another source, or with other settings.
        """
        try:
            before = json.loads((self.path / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path}: is not what an interrupted run leaves ({error}); remove it"
            ) from None
        changed = [
            key for key in sorted(before | self._settings) if before.get(key) != self._settings.get(key)
        ]
        if changed:
            raise InputError(
                f"{self.path}: was begun with another {', '.join(changed)}; use the same again, or "
                "--overwrite without --resume to begin anew"
            )
        parts: list[Part] = []
        while self._record(len(parts)).is_file():
            parts.append(Part(**json.loads(self._record(len(parts)).read_text())))
        kept = {"run.json"} | {path.name for index in range(len(parts)) for path in self._all_of(index)}
        for path in self.path.iterdir():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return parts

    def file(self, index: int, name: str, suffix: str) -> Path:
        """The path of one file, or folder, of a part."""
        return self.path / f"{index:06d}.{name}{suffix}"

    def finish(self, index: int, part: Part) -> None:
        """Record that a part is complete."""
        write_json(self._record(index), asdict(part))

    def remove(self) -> None:
        """Remove everything."""
        if self.path.exists():
            shutil.rmtree(self.path)

    def _record(self, index: int) -> Path:
        return self.path / f"{index:06d}.json"

    def _all_of(self, index: int) -> Iterator[Path]:
        return self.path.glob(f"{index:06d}.*")


class VideoPart:
    """A part's video stream in a Matroska file whose own time stamps do not count.

    Args:
        path: path of the file.
        track: video of the result.
    """

    def __init__(self, path: Path, track: VideoTrack) -> None:
        self._track, self._index = track, 0
        self._container = av.open(str(path), "w")
        self._stream = track.add_to(self._container)

    def write(self, pixels: np.ndarray, *, original: np.ndarray, stored: av.VideoFrame | None) -> None:
        """See `PartWriter`."""
        width, height = self._track.even_size
        pixels = pixels[:height, :width]
        if stored is not None and self._takes_over(stored):
            stored = stored_as(stored, self._track.layout, **self._colours)
            planes = upright(stored, self._track.look.orientation)
            planes = changed(
                planes, original[:height, :width], pixels, layout=self._track.layout, **self._colours
            )
            frame = frame_of(planes, self._track.layout)
        else:
            frame = from_rgb(self._scaled(pixels), self._track.layout, **self._colours)
        if frame.format.name == "gbrp":
            frame = frame.reformat(format="bgr0")
        colours = self._track.colours
        frame.colorspace, frame.color_range = colours.matrix, colours.range
        frame.color_primaries, frame.color_trc = colours.primaries, colours.transfer
        frame.pts, frame.time_base = self._index, 1 / self._track.fps
        self._index += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """See `PartWriter`."""
        if self._index:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    @property
    def _colours(self) -> dict[str, Any]:
        return {"matrix": self._track.look.coefficients, "full_range": self._track.look.full_range}

    def _takes_over(self, stored: av.VideoFrame) -> bool:
        """Whether the stored frame's own values can stand in the result."""
        orientation = self._track.look.orientation
        size = orientation.size(stored.width, stored.height)
        is_rgb = self._track.look.layout.startswith("gbr")
        return (
            (size[0] - size[0] % 2, size[1] - size[1] % 2) == self._track.even_size
            and is_rgb == self._track.layout.startswith("gbr")
            # Chroma that is halved one way only would have to be halved the other way.
            and not (orientation.transposed and "422" in self._track.layout)
        )

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels as FFmpeg's conversion takes them: its white of 16 bits is 255 x 256."""
        if pixels.dtype == np.uint8 or not self._track.look.layout.startswith("gbr"):
            return pixels
        return np.rint(pixels * np.float32(256 / 257)).astype(np.uint16)


class OpenPart:
    """The part that is being written.

    Args:
        writers: writer of the result, and of the comparison if there is one.
    """

    def __init__(self, writers: Sequence[PartWriter]) -> None:
        self._writers = writers
        self._faces = 0
        self._left: Counter[str] = Counter()
        self.times: list[int] = []
        self._durations: list[int] = []

    def write(
        self,
        pixels: np.ndarray,
        original: np.ndarray,
        *,
        picture: Picture,
        has_face: bool,
        left: Collection[str] = (),
    ) -> None:
        """Append a picture.

        Args:
            pixels: restored frame (H, W, 3).
            original: the same frame before, for the comparison.
            picture: time and duration of the frame.
            has_face: whether a face was restored in it.
            left: reasons for which faces of it were left alone.
        """
        self._writers[0].write(pixels, original=original, stored=picture.stored)
        for writer in self._writers[1:]:
            panels = side_by_side(original, pixels, titles=("input", "enhanced"))
            writer.write(panels, original=panels, stored=None)
        self.times.append(picture.time)
        self._durations.append(picture.duration)
        self._faces += has_face
        self._left.update(left)

    def close(self) -> None:
        """Finish all writers, also when one of them fails."""
        with ExitStack() as stack:
            for writer in self._writers:
                stack.callback(writer.close)

    def part(self, *, resume_at: int, skip: int, people: dict[str, Any]) -> Part:
        """The part that was written; see `Part`."""
        times = (self.times, self._durations)
        return Part(self._faces, resume_at, skip, *times, people, dict(self._left))
