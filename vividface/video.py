"""Reading and writing video: a stream of frames, never a whole video in memory.

Frames are arrays (H, W, 3), uint8, RGB, full range, turned and mirrored as they are shown. Decoding and
probing run in process through PyAV; encoding and filtering run through the ffmpeg program that the package
imageio-ffmpeg carries (or the one that the environment variable IMAGEIO_FFMPEG_EXE names), so that the
encoder's version is pinned.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, overload

import av
import cv2
import ffmpeg
import imageio_ffmpeg
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import Interpolation

from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.orientation import Orientation, orientation_of

Item = TypeVar("Item")

_VIDEO_NAMES = """
3g2 3gp asf avi divx dv f4v flv gif m1v m2t m2ts m2v m4v mkv mov mp4 mpe mpeg mpg mpv mts mxf nut ogm ogv qt
rm rmvb ts vob webm wmv wtv y4m
"""
VIDEO_SUFFIXES = frozenset(f".{name}" for name in _VIDEO_NAMES.split())
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

# FFV1 is lossless, intra-only and bit-exact. So is Ut Video, of files that are up to half as large again but
# written and read three times as fast. H.264 is for people to watch.
_ENCODERS: dict[str, dict[str, str | int]] = {
    "ffv1": {"vcodec": "ffv1", "pix_fmt": "bgr0", "level": 3, "g": 1, "slices": 4, "threads": 1},
    "ffv1_gray": {"vcodec": "ffv1", "pix_fmt": "gray", "level": 3, "g": 1, "threads": 1},
    "utvideo": {"vcodec": "utvideo", "pix_fmt": "gbrp", "pred": "median", "threads": 1},
    "h264": {"vcodec": "libx264", "pix_fmt": "yuv420p", "preset": "medium", "movflags": "+faststart"},
}
# Tagged, because untagged small video is taken for BT.601 by some players and BT.709 by others.
_BT709: dict[str, str | int] = {
    "vf": "scale=out_color_matrix=bt709:out_range=tv",
    "colorspace": "bt709",
    "color_primaries": "bt709",
    "color_trc": "bt709",
    "color_range": "tv",
}
# Decoding from the beginning costs less than the search for a key frame up to about here.
_SEEK_FROM = 64
# swscale's flags between YUV and RGB of 8 bits: without them pictures are a level too dark. With 16 bits
# they give wrong colours, and are not needed.
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# What FFmpeg's demuxers of Matroska and of MP4 log at the end of a truncated file.
_ENDS_EARLY = ("File ended prematurely", "partial file")
# The share of a stream's tagged duration that must be there: the last frame's own duration may not be stored.
_WHOLE_SHARE = 0.95
# Streams that hold a picture beside the film.
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def is_video(path: Path) -> bool:
    """Whether a path is a file with a video's suffix, and not a dot file.

    Dot files are other systems' shadows of a video, or a download that is under way.
    """
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header and a count of its packets say.

    Attributes:
        width: width of the frames as they are shown, px.
        height: height of the frames as they are shown, px.
        fps: average frame rate.
        num_frames: number of video packets that are shown, the number of frames of an undamaged file.
        duration: duration, s.
        has_audio: whether there is at least one audio stream.
        codec: name of the video codec.
    """

    width: int
    height: int
    fps: Fraction
    num_frames: int
    duration: float
    has_audio: bool
    codec: str


def ffmpeg_executable() -> str:
    """The ffmpeg program that everything here runs."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@cache
def ffmpeg_version() -> str:
    """The version of that program, as it names itself."""
    return str(imageio_ffmpeg.get_ffmpeg_version())


def open_video(path: Path | str) -> InputContainer:
    """Open a video file with PyAV, whatever its name: a colon in a relative one would name a protocol.

    Tags that are no UTF-8 do not matter.
    """
    return av.open(str(Path(path).absolute()), metadata_errors="replace")


def film_stream(container: InputContainer) -> av.VideoStream:
    """The stream of an opened video that is the film, and no cover picture or thumbnail.

    Raises:
        InputError: there is none.
    """
    films = [stream for stream in container.streams.video if not stream.disposition & _PICTURES]
    if not films:
        raise InputError(f"{container.name}: has no video stream; give a video file")
    best = container.streams.best("video")
    film = next((stream for stream in films if best is not None and stream.index == best.index), films[0])
    if film.codec_context is None:
        raise InputError(f"{container.name}: its video cannot be decoded here; convert it to H.264")
    return film


def probe(path: Path | str) -> VideoInfo:
    """Read a video's description.

    Raises:
        InputError: the file is not there, is not a video, or has no frames.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check the path")
    try:
        with open_video(path) as container:
            stream = film_stream(container)
            frames, orientation = _scan(container, stream)
            fps = _rate(stream)
            if not frames or not fps or not stream.width:
                raise InputError(f"{path}: holds no video frames; the file is probably damaged, get it again")
            width, height = orientation.size(stream.width, stream.height)
            return VideoInfo(
                width=width,
                height=height,
                fps=Fraction(fps),
                num_frames=frames,
                duration=float(frames / fps),
                has_audio=bool(container.streams.audio),
                codec=stream.codec_context.name,
            )
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: is not a readable video ({_reason(error)}); is it a video file, and whole?"
        ) from None


def _scan(container: InputContainer, stream: av.VideoStream) -> tuple[int, Orientation]:
    """The number of packets that are shown, and the orientation of the first frame that can be decoded."""
    num_frames, first = 0, None
    for packet in container.demux(stream):
        num_frames += _is_shown(packet)
        if first is None:
            # What is damaged is met, and told with its place, where the frames are read.
            with suppress(av.FFmpegError):
                first = next(iter(packet.decode()), None)
    return num_frames, Orientation() if first is None else orientation_of(first)


def _rate(stream: av.VideoStream) -> Fraction | None:
    """The average frame rate; the base rate where a container, as DV, gives the unit of its clock for it."""
    average, guessed = stream.average_rate, stream.guessed_rate
    if average and guessed and guessed < average and average * (stream.time_base or 0) >= 1:
        return guessed
    return average or guessed


def is_truncated(path: Path | str) -> bool:
    """Whether a video file ends in the middle of what it should hold; reads all of it, decodes nothing.

    FFmpeg takes a truncated file for a shorter one: what tells is its log, a last packet that is incomplete,
    or, where a Matroska file was cut between two clusters, the duration that the stream is tagged with.

    Args:
        path: path of the video, which `probe` can read.
    """
    # PyAV gives the log too, but its callback waits for Python's lock, which a decoder that closes may hold.
    path = Path(path).absolute()
    with open_video(path) as container:
        index = film_stream(container).index
    command = [ffmpeg_executable(), "-v", "error", "-i", str(path), "-map", f"0:{index}", "-c", "copy"]
    run = subprocess.run([*command, "-f", "null", "-"], capture_output=True, check=False)
    log = run.stderr.decode(errors="replace")
    if any(sign in log for sign in _ENDS_EARLY):
        return True
    end, damaged = 0.0, False
    with open_video(path) as container:
        stream = film_stream(container)
        for packet in container.demux(stream):
            if packet.size:
                damaged = packet.is_corrupt
                end = max(end, float(((packet.pts or 0) + (packet.duration or 0)) * packet.time_base))
        return damaged or end < _WHOLE_SHARE * _tagged_seconds(stream)


def require_whole(path: Path | str) -> VideoInfo:
    """`probe`, but a truncated file is an `InputError` too."""
    info = probe(path)
    if is_truncated(path):
        raise InputError(
            f"{path}: is truncated, only {info.num_frames} of its frames are there; get it again"
        )
    return info


def iterate_frames(path: Path | str, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Decode frames `start` to `stop` (exclusive; None: to the end) in order of presentation.

    Yields:
        arrays (H, W, 3), uint8, RGB.

    Raises:
        InputError: the video is damaged or ends before `stop`.
    """
    return map(_to_rgb, _decode(path, start, stop))


class LazyFrames(Sequence[np.ndarray]):
    """Successive frames (H, W, 3), uint8, RGB, each of which is converted when it is first asked for.

    Args:
        frames: frames as they were decoded.
    """

    def __init__(self, frames: Sequence[av.VideoFrame]) -> None:
        self._frames = frames
        self._converted: dict[int, np.ndarray] = {}

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self[place] for place in places]
        if places not in self._converted:
            self._converted[places] = _to_rgb(self._frames[places])
        return self._converted[places]

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def nbytes(self) -> int:
        """The memory that the frames take, with those that are converted."""
        decoded = sum(plane.buffer_size for frame in self._frames for plane in frame.planes)
        return decoded + sum(pixels.nbytes for pixels in self._converted.values())

    def consume(self) -> Iterator[np.ndarray]:
        """The frames in order, each of which is kept in RGB no longer than it is needed."""
        for place in range(len(self)):
            yield self[place]
            del self._converted[place]


def iterate_lazily(
    path: Path | str, start: int = 0, stop: int | None = None, *, size: int
) -> Iterator[LazyFrames]:
    """`iterate_frames` in batches whose frames are converted to RGB where they are looked at.

    Args:
        path: path of the video.
        start: index of the first frame.
        stop: index behind the last frame; None decodes to the end.
        size: number of frames of a batch; the last may have fewer.

    Raises:
        InputError: the video is damaged or ends before `stop`.
    """
    return map(LazyFrames, batched(_decode(path, start, stop), size))


def sample_evenly(path: Path | str, num_frames: int) -> Iterator[np.ndarray]:
    """Decode evenly spaced frames, the first and the last among them, in order of presentation.

    Args:
        path: path of the video.
        num_frames: number of frames; a shorter video gives all of its frames.

    Yields:
        arrays (H, W, 3), uint8, RGB.

    Raises:
        InputError: the video cannot be read.
    """
    length = probe(path).num_frames
    indices = np.linspace(0, length - 1, min(num_frames, length)).round().astype(int)
    wanted = set(indices.tolist())
    for index, frame in enumerate(iterate_frames(path)):
        if index in wanted:
            yield frame


def iterate_masks(path: Path | str, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Decode a mask video: arrays (H, W), bool.

    Raises:
        InputError: the video is damaged or ends before `stop`.
    """
    for frame in _decode(path, start, stop):
        yield frame.to_ndarray(format="gray") > 127


def read_clip(
    path: Path | str, start: int = 0, stop: int | None = None, *, size: tuple[int, int] | None = None
) -> np.ndarray:
    """A clip's frames as one array (F, H, W, 3), uint8, RGB: for clips, which are short.

    Args:
        path: path of the clip.
        start: index of the first frame.
        stop: index behind the last frame; None decodes to the end.
        size: width and height that frames are resized to (bicubic); None keeps theirs.

    Raises:
        InputError: the video is damaged or ends before `stop`.
    """
    frames = iterate_frames(path, start, stop)
    return np.stack([resize(frame, size) if size else frame for frame in frames])


def resize(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame (H, W, 3) at another width and height (bicubic), or the frame itself if it has them."""
    if frame.shape[1::-1] == size:
        return frame
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC))


def eight_bits(frame: np.ndarray) -> np.ndarray:
    """A frame of uint16 as uint8; one of uint8 as it is."""
    return (frame >> 8).astype(np.uint8) if frame.dtype == np.uint16 else frame


def read_masks(path: Path | str, start: int = 0, stop: int | None = None) -> np.ndarray:
    """A mask clip as one array (F, H, W), bool.

    Raises:
        InputError: the clip is damaged or ends before `stop`.
    """
    return np.stack(list(iterate_masks(path, start, stop)))


def batched(frames: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Frames in lists of `size`; the last may be shorter."""
    batch: list[Item] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    # Threads would be started for each frame, which costs more than they gain.
    pixels = frame.to_ndarray(format="rgb24", interpolation=EXACT, threads=1)
    return np.ascontiguousarray(orientation_of(frame).apply(pixels))


def _decode(path: Path | str, start: int, stop: int | None) -> Iterator[av.VideoFrame]:
    index = -1
    try:
        for index, frame in _indexed(Path(path), start):
            if stop is not None and index >= stop:
                return
            if index >= start:
                if frame.is_corrupt:
                    raise InputError(f"{path}: frame {index} is damaged; get the file again")
                yield frame
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path}: cannot be decoded beyond frame {index + 1} ({_reason(error)}); "
            "the file is truncated or damaged, get it again"
        ) from None
    if index < start or (stop is not None and index + 1 < stop):
        wanted = "at least one frame" if stop is None else f"frames {start} to {stop}"
        raise InputError(f"{path}: ends after {index + 1} frames, but {wanted} were asked for")


def _indexed(path: Path, start: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames with their indices, from the first one or from a key frame at or before `start`."""
    stamps = _timestamps(path, path.stat().st_size, path.stat().st_mtime_ns) if start >= _SEEK_FROM else {}
    if len(stamps) > start:
        with open_video(path) as container:
            stream = film_stream(container)
            container.seek(list(stamps)[start], stream=stream)
            stream.thread_type = "AUTO"
            # Frames in front of the key frame that was found lack what they refer to; they are not asked for.
            known = ((stamps[f.pts], f) for f in container.decode(stream) if f.pts in stamps)
            first = next(known, None)
            if first is not None and first[0] <= start:
                yield first
                yield from known
                return
    with open_video(path) as container:
        stream = film_stream(container)
        stream.thread_type = "AUTO"
        yield from enumerate(container.decode(stream))


@lru_cache(maxsize=8)
def _timestamps(path: Path, size: int, modified: int) -> dict[int, int]:
    """The index of every frame that is shown by its time stamp, in order; empty if the file has none."""
    with open_video(path) as container:
        stream = film_stream(container)
        found = [packet.pts for packet in container.demux(stream) if _is_shown(packet)]
    stamps = sorted(stamp for stamp in found if stamp is not None)
    if len(set(stamps)) < len(found):
        return {}
    return {stamp: index for index, stamp in enumerate(stamps)}


def _is_shown(packet: av.Packet[Any]) -> bool:
    """Not an empty packet, nor one that an edit list leaves out."""
    return packet.size > 0 and not packet.is_discard


def _tagged_seconds(stream: av.VideoStream) -> float:
    """A Matroska stream's duration as it is tagged, HH:MM:SS.fraction; 0 without a tag."""
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        return float(sum(float(part) * 60**power for power, part in enumerate(reversed(parts))))
    except ValueError:
        return 0.0


def _has_audio(path: Path | str) -> bool:
    with open_video(path) as container:
        return bool(container.streams.audio)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


class VideoWriter:
    """Writes frames to a video file, atomically.

    Use it as a context manager and call `write` once per frame.

    Args:
        path: path of the file; the container follows from its suffix.
        width: width of the frames, px.
        height: height of the frames, px.
        fps: frame rate.
        codec: `ffv1` or `utvideo` (lossless RGB), `ffv1_gray` (lossless masks) or `h264` (yuv420p, BT.709).
        crf: quality of `h264`; lower is better.
        audio_from: file whose audio streams are copied without re-encoding.
        options: ffmpeg's output options, in place of those of `codec`.

    Raises:
        InputError: ffmpeg cannot write the file; from `write` or at the end.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        width: int,
        height: int,
        fps: Fraction | float,
        codec: str = "ffv1",
        crf: int = 16,
        audio_from: Path | str | None = None,
        options: dict[str, str | int] | None = None,
    ) -> None:
        self.path = Path(path)
        self._shape = (height, width) if codec == "ffv1_gray" else (height, width, 3)
        self._atomic = atomic_path(self.path)
        options = dict(options or _ENCODERS[codec])
        if options == _ENCODERS["h264"]:
            options |= {"crf": crf} | _BT709
        pixel_format = "gray" if codec == "ffv1_gray" else "rgb24"
        source = ffmpeg.input(
            "pipe:", format="rawvideo", pix_fmt=pixel_format, s=f"{width}x{height}", r=str(Fraction(fps))
        )
        streams = [source.video]
        if audio_from is not None and _has_audio(audio_from):
            streams.append(ffmpeg.input(str(Path(audio_from).absolute())).audio)
            options |= {"acodec": "copy"}
        self._streams, self._options = streams, options

    def __enter__(self) -> VideoWriter:
        temporary = self._atomic.__enter__()
        output = ffmpeg.output(
            *self._streams, str(temporary), **self._options, fflags="+bitexact", map_metadata=-1
        )
        command = ffmpeg.compile(output.global_args("-v", "error"), cmd=ffmpeg_executable())
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append one frame: (H, W, 3), or (H, W) for masks; uint8."""
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self._shape}, got {frame.dtype} {frame.shape}")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except BrokenPipeError:
            self._fail()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
            self._process.communicate()
            self._atomic.__exit__(kind, error, trace)
            return
        try:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.stdin = None
            if self._process.wait():
                self._fail()
        except BaseException as failure:
            self._atomic.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._atomic.__exit__(None, None, None)

    def _fail(self) -> None:
        assert self._process.stderr is not None
        message = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        raise InputError(f"{self.path}: cannot be written: {message[-1] if message else 'ffmpeg failed'}")


def write_clip(
    path: Path | str,
    frames: np.ndarray,
    fps: Fraction | float,
    *,
    codec: str = "ffv1",
    options: dict[str, str | int] | None = None,
) -> None:
    """Write a clip, as `VideoWriter` does.

    Args:
        path: path of the file; the container follows from its suffix.
        frames: clip (F, H, W, 3) uint8, RGB, or masks (F, H, W), bool or uint8 0/255.
        fps: frame rate.
        codec: codec of `VideoWriter`.
        options: ffmpeg's output options, in place of those of `codec`.

    Raises:
        InputError: ffmpeg cannot write the file.
    """
    if frames.dtype == np.bool_:
        frames = frames.astype(np.uint8) * 255
    height, width = frames.shape[1:3]
    with VideoWriter(path, width=width, height=height, fps=fps, codec=codec, options=options) as writer:
        for frame in frames:
            writer.write(frame)
