"""What `vividface enhance` writes: parts that are whole or not there, joined to one video at the end."""

from __future__ import annotations

import heapq
import json
import math
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from av.container import InputContainer, OutputContainer

from vividface.errors import InputError
from vividface.files import atomic_path, write_json
from vividface.restoration.reading import Look
from vividface.video import ffmpeg_executable

# Without B-frames a part's packets lie in the order of their frames, so parts join at any time stamps.
# With mbtree PyAV's x264 gives other bits in about one of a hundred encodings of the same frames.
_X264 = {"crf": "16", "preset": "medium", "bf": "0", "mbtree": "0"}
_UNSPECIFIED = 2
CONTAINERS = frozenset({".mp4", ".mov", ".m4v", ".mkv"})
# Those whose index can be moved to the front, for players that stream.
_STREAMED = CONTAINERS - {".mkv"}
# Written by FFmpeg itself, or about the source's file and not its content.
_OWN_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "duration"})


class PartWriter(Protocol):
    """Where the pictures of a part go."""

    def write(self, pixels: np.ndarray) -> None:
        """Append a picture (H, W, 3), uint8 or uint16, RGB."""

    def close(self) -> None:
        """Finish; what was written is not whole before."""


@dataclass(frozen=True)
class Part:
    """A piece of the result that is whole.

    Attributes:
        faces: pictures in which a face was restored.
        resume_at: index of the source's frame from which restoration goes on behind it.
        skip: frames from there on that are done already.
        times: of presentation, in units of the source's time base.
        durations: likewise.
    """

    faces: int
    resume_at: int
    skip: int
    times: list[int]
    durations: list[int]


class PartFolder:
    """The parts of an unfinished result, beside where it will be: a run that was killed goes on from there.

    Args:
        output: the result's path.
        settings: what the parts depend on; they are used again only if it is the same.
    """

    def __init__(self, output: Path, settings: dict) -> None:
        self.path = output.with_name(f"{output.name}.partial")
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
        """The whole parts of the earlier run; the rest of what it left is removed.

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
        """Record that a part is whole."""
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
    """A part's video stream, H.264, in a Matroska file whose own time stamps do not count.

    Args:
        path: the file.
        size: width and height in pixels; made even, as 4:2:0 has to be.
        rate: frames per second.
        look: how pixels are stored.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, look: Look) -> None:
        self._path, self._look, self._index = path, look, 0
        self._size = (size[0] - size[0] % 2, size[1] - size[1] % 2)
        self._container = av.open(str(path), "w")
        stream = self._container.add_stream("libx264", rate=rate, options=dict(_X264))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = self._size
        stream.pix_fmt = look.pixel_format
        context = stream.codec_context
        context.sample_aspect_ratio = look.pixel_aspect
        context.colorspace, context.color_range = look.matrix, look.range
        context.color_primaries, context.color_trc = look.primaries, look.transfer
        self._stream, self._rate = stream, rate

    def write(self, pixels: np.ndarray) -> None:
        """See `PartWriter`."""
        width, height = self._size
        pixels = np.ascontiguousarray(pixels[:height, :width])
        name = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
        frame = av.VideoFrame.from_ndarray(pixels, format=name).reformat(
            format=self._look.pixel_format,
            dst_colorspace=None if self._look.matrix == _UNSPECIFIED else self._look.matrix,
            dst_color_range=self._look.range or None,
        )
        frame.pts, frame.time_base = self._index, 1 / self._rate
        self._index += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """See `PartWriter`."""
        if self._index:
            self._container.mux(self._stream.encode(None))
        self._container.close()


class ImagesPart:
    """A part's pictures as image files in a folder.

    Args:
        folder: to be made.
        names: of the files, in order; the suffix says the format.
    """

    def __init__(self, folder: Path, names: Iterator[str]) -> None:
        self._folder, self._names = folder, names
        folder.mkdir()

    def write(self, pixels: np.ndarray) -> None:
        """See `PartWriter`; formats of 8 bits get 8."""
        path = self._folder / next(self._names)
        if pixels.dtype == np.uint16 and path.suffix.lower() not in (".png", ".tif", ".tiff"):
            pixels = np.rint(pixels / 257).astype(np.uint8)
        if not cv2.imwrite(str(path), pixels[..., ::-1]):
            raise OSError(f"{path.name}: the image could not be written")

    def close(self) -> None:
        """See `PartWriter`."""


def require_container(path: Path) -> None:
    """Raise `InputError` unless the name is one of a container for H.264 at any time stamps."""
    if path.suffix.lower() not in CONTAINERS:
        raise InputError(f"{path}: is no name for the result; name it {', '.join(sorted(CONTAINERS))}")


def join_video(
    output: Path,
    pieces: Sequence[tuple[Path, Part]],
    time_base: Fraction,
    source: Path | None,
    whole: bool = True,
) -> list[str]:
    """Join the parts of a video and the other streams of its source, none of them encoded again.

    Args:
        output: appears when it is whole.
        pieces: the parts' files, in order.
        time_base: unit of the parts' times.
        source: a video whose sound, subtitles, chapters and tags are copied.
        whole: whether the parts are all there are; if not, the other streams end with them.

    Returns:
        what could not be kept as it was, a sentence each.
    """
    notes: list[str] = []
    with atomic_path(output) as temporary, ExitStack() as stack:
        options = {"fflags": "+bitexact"}
        if output.suffix.lower() in _STREAMED:
            options["movflags"] = "+faststart"
        container = stack.enter_context(av.open(str(temporary), "w", options=options))
        with av.open(str(pieces[0][0])) as first:
            stream = container.add_stream_from_template(first.streams.video[0])
        stream.time_base = time_base
        streams = [_video_packets(pieces, stream, time_base)]
        if source is not None:
            last = pieces[-1][1]
            end = math.inf if whole else float((last.times[-1] + last.durations[-1]) * time_base)
            original = stack.enter_context(av.open(str(source)))
            tags = {k: v for k, v in original.metadata.items() if k.lower() not in _OWN_TAGS}
            container.metadata.update(tags)
            if original.chapters():
                container.set_chapters(original.chapters())
            streams += _other_packets(original, container, source, pieces[0][0].parent, end, stack, notes)
        for _, packet in heapq.merge(*streams, key=lambda timed: timed[0]):
            container.mux(packet)
    return notes


def join_images(output: Path, folders: Sequence[Path]) -> None:
    """Move the parts' images into one folder, or, where `output` is an image's name, to it."""
    images = [image for folder in folders for image in sorted(folder.iterdir())]
    with atomic_path(output) as temporary:
        if output.suffix:
            images[0].replace(temporary)
            return
        temporary.mkdir()
        for image in images:
            image.replace(temporary / image.name)


_Timed = Iterator[tuple[float, av.Packet]]


def _video_packets(
    pieces: Sequence[tuple[Path, Part]], stream: av.VideoStream, time_base: Fraction
) -> _Timed:
    for path, part in pieces:
        with av.open(str(path)) as container:
            packets = (packet for packet in container.demux(video=0) if packet.size)
            for packet, time, duration in zip(packets, part.times, part.durations, strict=True):
                packet.stream, packet.time_base = stream, time_base
                packet.pts = packet.dts = time
                packet.duration = duration
                yield float(time * time_base), packet


def _other_packets(
    original: InputContainer,
    container: OutputContainer,
    source: Path,
    folder: Path,
    end: float,
    stack: ExitStack,
    notes: list[str],
) -> list[_Timed]:
    """Sound and subtitles up to a time in seconds, per file they are read from."""
    copied: dict[int, av.stream.Stream] = {}
    others: list[_Timed] = []
    for kind in (*original.streams.audio, *original.streams.subtitles):
        name = kind.codec_context.name if kind.codec_context is not None else "unknown"
        if (
            kind.codec_context is not None
            and kind.codec_context.codec.canonical_name in container.supported_codecs
        ):
            copied[kind.index] = container.add_stream_from_template(kind)
        elif kind.type == "audio":
            converted = stack.enter_context(av.open(str(_as_aac(source, kind.index, folder))))
            made = container.add_stream_from_template(converted.streams.audio[0])
            others.append(_packets(converted, {0: made}, end))
            notes.append(f"the sound ({name}) cannot be stored in {container.format.name}: it is AAC now")
        else:
            notes.append(f"the subtitles ({name}) cannot be stored in {container.format.name}: left out")
    return [_packets(original, copied, end), *others] if copied else others


def _packets(container: InputContainer, streams: dict[int, av.stream.Stream], end: float) -> _Timed:
    chosen = [stream for stream in container.streams if stream.index in streams]
    last = 0.0
    try:
        for packet in container.demux(chosen):
            if not packet.size:
                continue
            stamp = packet.dts if packet.dts is not None else packet.pts
            last = last if stamp is None else float(stamp * packet.time_base)
            if last < end:
                packet.stream = streams[packet.stream.index]
                yield last, packet
    except av.FFmpegError:
        # The end of a truncated file, whose pictures end here too.
        return


def _as_aac(source: Path, index: int, folder: Path) -> Path:
    path = folder / f"{index}.nut"
    command = [ffmpeg_executable(), "-v", "error", "-y", "-copyts", "-i", str(source), "-map", f"0:{index}"]
    done = subprocess.run(
        [*command, "-c:a", "aac", "-b:a", "192k", str(path)], capture_output=True, check=False
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InputError(f"{source}: its sound cannot be converted to AAC: {''.join(reason)}")
    return path
