"""What a video holds beside its film, such as sound and subtitles, and what a result can take over."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Disposition, Stream

from vividface.restoration.clock import Clock, stamp_of
from vividface.restoration.sound import AacEncoder, has_layout
from vividface.video import film_stream, open_video

# Packets of a stream that are tried, and packets of all streams that are read to find them.
_TRIED, _READ = 4, 2000
# FFmpeg's names of formats by suffix.
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
# Written by FFmpeg itself, or about the source's stream and not its content.
_OWN_TAGS = frozenset({"encoder", "duration", "vendor_id", "bps", "number_of_frames", "number_of_bytes"})
_KINDS = {"audio": "sound", "subtitle": "subtitles", "video": "video stream", "data": "data stream"}

# Packets with their times, s.
Timed = Iterator[tuple[float, "av.Packet[Any]"]]


@dataclass(frozen=True)
class OtherStream:
    """A stream of a source that its result takes over.

    Attributes:
        index: index of the stream in the source.
        how: whether its packets are copied, its sound is encoded as AAC, or it is a file in the header.
    """

    index: int
    how: Literal["copy", "aac", "attachment"]


def plan_streams(source: Path, suffix: str) -> tuple[list[OtherStream], list[str]]:
    """What the container of a result can take over, found by trying its header and first packets.

    Args:
        source: path of the source, a video.
        suffix: suffix of the result.

    Returns:
        the streams, and sentences about those that are not copied.
    """
    planned, notes = [], []
    with open_video(source) as container:
        film = film_stream(container)
        others = [stream for stream in container.streams if stream.index != film.index]
        packets = _first_packets(container, others)
        for stream in others:
            if stream.type == "data" and ("timecode" in stream.metadata or _is_chapters(stream, container)):
                # A tag of the film's, or the chapters' titles, of which FFmpeg writes the track anew.
                continue
            how = _way(stream, packets[stream.index], suffix)
            if how is not None:
                planned.append(OtherStream(stream.index, how))
            if note := _note(stream, how, suffix):
                notes.append(note)
    return planned, notes


def timecode_of(source: InputContainer) -> str:
    """The time code at which a source begins, or an empty text."""
    return next((str(s.metadata["timecode"]) for s in source.streams if "timecode" in s.metadata), "")


def add_streams(
    source: InputContainer, container: OutputContainer, planned: list[OtherStream], *, end: float
) -> list[Timed]:
    """Add planned streams to a result.

    Args:
        source: opened source.
        container: opened result, before its header is written.
        planned: streams of `plan_streams`.
        end: time at which the streams end, s.

    Returns:
        the packets to write, in order, per stream that is read on its own.
    """
    copied: dict[int, Stream] = {}
    timed = []
    for other in planned:
        stream = source.streams[other.index]
        if other.how == "attachment":
            _attach(source, stream, container)
        elif other.how == "copy":
            copied[other.index] = target = container.add_stream_from_template(stream)
            _describe(stream, target)
        else:
            assert isinstance(stream, av.AudioStream)
            rate, num_channels = _shape_of(str(source.name), stream)
            encoder = AacEncoder(container, sample_rate=rate, num_channels=num_channels)
            _describe(stream, encoder.stream)
            timed.append(_encoded(str(source.name), other.index, encoder, end))
    return [_copied(source, copied, end), *timed] if copied else timed


def _way(
    stream: Stream, packets: list[av.Packet[Any]], suffix: str
) -> Literal["copy", "aac", "attachment"] | None:
    """How a stream can be taken over, or None."""
    if stream.type == "attachment" or (suffix == ".mkv" and _is_cover(stream)):
        return "attachment" if suffix == ".mkv" else None
    if suffix == ".mov" and _is_cover(stream):
        # FFmpeg leaves it out without a word.
        return None
    if (
        isinstance(stream, av.AudioStream)
        and _is_seldom_played(stream, suffix)
        and _can_decode(stream, packets)
    ):
        return "aac"
    if _fits(stream, packets, suffix):
        return "copy"
    if isinstance(stream, av.AudioStream) and _can_decode(stream, packets):
        return "aac"
    return None


def _is_seldom_played(stream: Stream, suffix: str) -> bool:
    """Whether MP4 holds the sound, but hardly a player plays it from there."""
    codec = stream.codec_context
    return suffix in (".mp4", ".m4v") and codec is not None and codec.name.startswith("pcm_")


def _note(stream: Stream, how: str | None, suffix: str) -> str:
    if how in ("copy", "attachment"):
        return ""
    name = stream.codec_context.name if stream.codec_context is not None else "of an unknown codec"
    kind = "cover" if _is_cover(stream) else _KINDS.get(stream.type, stream.type)
    if stream.type == "attachment":
        return f"the attached file {_file_name(stream)} cannot be stored in {suffix}: left out"
    if how == "aac":
        return f"the sound ({name}) cannot be stored in {suffix}: it is AAC now"
    return f"the {kind} ({name}) cannot be stored in {suffix}: left out"


def _first_packets(container: InputContainer, streams: list[Stream]) -> dict[int, list[av.Packet[Any]]]:
    found: dict[int, list[av.Packet[Any]]] = {stream.index: [] for stream in streams}
    wanted = [stream for stream in streams if stream.type != "attachment"]
    if not wanted:
        return found
    with suppress(av.FFmpegError):
        for count, packet in enumerate(container.demux(wanted)):
            if packet.size and len(found[packet.stream.index]) < _TRIED:
                found[packet.stream.index].append(packet)
            if count >= _READ or all(len(found[s.index]) == _TRIED for s in wanted):
                break
    return found


def _fits(stream: Stream, packets: list[av.Packet[Any]], suffix: str) -> bool:
    """Whether a container takes a stream's header and packets."""
    if stream.codec_context is None:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=FORMATS[suffix]) as trial:
            film = trial.add_stream("mpeg4", rate=25)
            film.width = film.height = 16
            target = trial.add_stream_from_template(stream)
            _describe(stream, target)
            trial.start_encoding()
            for packet in packets:
                packet.stream = target
                trial.mux(packet)
    except (av.FFmpegError, ValueError, TypeError, RuntimeError):
        return False
    finally:
        for packet in packets:
            packet.stream = stream
    return True


def _can_decode(stream: av.AudioStream, packets: list[av.Packet[Any]]) -> bool:
    """Whether sound can be decoded to something that AAC has a layout for."""
    context = stream.codec_context
    if context is None:
        return False
    for packet in packets:
        with suppress(av.FFmpegError):
            if packet.decode():
                return context.sample_rate > 0 and has_layout(context.layout.nb_channels)
    return not packets and context.sample_rate > 0 and has_layout(context.layout.nb_channels)


def _describe(stream: Stream, target: Stream) -> None:
    """Give a stream its language, title, and what it is for."""
    tags = {key: value for key, value in stream.metadata.items() if not _is_own(key)}
    target.metadata.update(tags)
    target.disposition = stream.disposition


def _is_own(key: str) -> bool:
    return key.lower().split("-")[0] in _OWN_TAGS or key.lower().startswith("_statistics")


def _is_chapters(stream: Stream, container: InputContainer) -> bool:
    """Whether a stream of unknown data is MP4's track of the chapters' titles."""
    with suppress(av.FFmpegError, ValueError):
        is_mp4 = "mp4" in container.format.name
        return is_mp4 and stream.codec_context is None and 0 < stream.frames == len(container.chapters())
    return False


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _attach(source: InputContainer, stream: Stream, container: OutputContainer) -> None:
    """Store a font, or a cover, in the header, as Matroska does."""
    kind = str(stream.metadata.get("mimetype", "application/octet-stream"))
    if isinstance(stream, AttachmentStream):
        data = bytes(stream.data or b"")
    else:
        data = next((bytes(packet) for packet in source.demux(stream) if packet.size), b"")
        source.seek(0)
        kind = "image/png" if stream.codec_context.name == "png" else "image/jpeg"
    container.add_attachment(_file_name(stream), kind, data)


def _file_name(stream: Stream) -> str:
    if _is_cover(stream):
        usual = "cover.png" if stream.codec_context.name == "png" else "cover.jpg"
        return str(stream.metadata.get("filename", usual))
    return str(stream.metadata.get("filename", "attachment"))


def _copied(container: InputContainer, targets: dict[int, Stream], end: float) -> Timed:
    """Packets of copied streams, without what an edit list cuts away and what overlaps what was before."""
    last: dict[int, float] = {}
    try:
        for packet in _shown(Clock(container).demux(*(container.streams[index] for index in targets))):
            index = packet.stream.index
            if packet.dts is None and packet.pts is None and index not in last:
                # A cover has no time.
                packet.pts = packet.dts = 0
            stamp = stamp_of(packet)
            if index not in targets or stamp is None or stamp <= last.get(index, -float("inf")):
                continue
            last[index] = stamp
            time = float(stamp * packet.time_base)
            if time < end:
                packet.stream = targets[index]
                yield time, packet
    except av.FFmpegError:
        # The end of a truncated file, whose pictures end here too.
        return


def _shown(packets: Iterator[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
    """Packets without those that an edit list cuts away, but the one from which a codec warms up."""
    held: dict[int, av.Packet[Any]] = {}
    begun: set[int] = set()
    for packet in packets:
        if not packet.size:
            continue
        index = packet.stream.index
        if packet.is_discard:
            held[index] = packet
            continue
        if index not in begun:
            begun.add(index)
            if index in held:
                yield held[index]
        yield packet


def _encoded(source: str, index: int, encoder: AacEncoder, end: float) -> Timed:
    with open_video(source) as container:
        for packet in encoder.encoded(_sound(container, index, end)):
            packet.stream = encoder.stream
            yield float((stamp_of(packet) or 0) * (packet.time_base or 0)), packet


def _shape_of(source: str, stream: av.AudioStream) -> tuple[int, int]:
    """Sample rate, Hz, and number of channels; decoded where sound that begins late does not say."""
    context = stream.codec_context
    if context.sample_rate:
        return context.sample_rate, context.layout.nb_channels
    with open_video(source) as container:
        first = next(_sound(container, stream.index, math.inf))
        return first.sample_rate, first.layout.nb_channels


def _sound(container: InputContainer, index: int, end: float) -> Iterator[av.AudioFrame]:
    """Decoded sound up to an end; packets that cannot be decoded are left out."""
    stream = container.streams[index]
    with suppress(av.FFmpegError):
        for packet in Clock(container).demux(stream):
            if packet.stream.index != index or packet.is_discard:
                continue
            with suppress(av.FFmpegError):
                for frame in packet.decode():
                    if frame.pts is not None and frame.pts * (frame.time_base or 0) >= end:
                        return
                    assert isinstance(frame, av.AudioFrame)
                    yield frame
