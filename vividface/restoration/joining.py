"""Joining complete parts to one video, with the sound, subtitles, chapters and tags of its source."""

from __future__ import annotations

import heapq
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer

from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.restoration.clock import Clock, stamp_of
from vividface.restoration.encoders import VideoTrack
from vividface.restoration.other_streams import (
    FORMATS,
    OtherStream,
    Timed,
    add_streams,
    plan_streams,
    timecode_of,
)
from vividface.restoration.writing import Part
from vividface.video import open_video

# Those whose index can be moved to the front, for players that stream.
_STREAMED = frozenset({".mp4", ".mov", ".m4v"})
# Written by FFmpeg itself, or about the source's file and not its content.
_OWN_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "duration"})


@dataclass(frozen=True)
class Companions:
    """What a result takes over of its source beside the pictures.

    Attributes:
        source: path of the source.
        streams: streams of the source.
        notes: sentences about those that are not copied.
    """

    source: Path
    streams: list[OtherStream]
    notes: list[str] = field(default_factory=list)


def plan_companions(source: Path, output: Path, track: VideoTrack) -> Companions:
    """Find what a result can take over, and write a whole header for trial, in memory.

    Args:
        source: path of the source, a video.
        output: path of the result.
        track: video of the result.

    Raises:
        InputError: the container takes no such video.
    """
    suffix = output.suffix.lower()
    streams, notes = plan_streams(source, suffix)
    companions = Companions(source, streams, notes)
    try:
        with open_video(source) as original, av.open(io.BytesIO(), "w", format=FORMATS[suffix]) as trial:
            track.add_to(trial)
            _add_companions(original, trial, companions, begin=0, end=math.inf)
            trial.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        width, height = track.even_size
        raise InputError(
            f"{output}: {track.codec} of {width}x{height} cannot be written to {suffix} ({error}); try "
            "another --codec or container"
        ) from None
    return companions


def join_video(
    output: Path,
    pieces: Sequence[tuple[Path, Part]],
    *,
    time_base: Fraction,
    track: VideoTrack,
    companions: Companions | None,
    remark: str,
    whole: bool = True,
    excerpt: bool = False,
) -> list[str]:
    """Join the parts of a video and the other streams of its source; no picture is encoded again.

    Args:
        output: path of the video, written atomically.
        pieces: files of the parts, in order.
        time_base: unit of the parts' times, s.
        track: video of the result.
        companions: what is taken over of the source; None takes nothing.
        remark: sentence that is added to the source's comment.
        whole: whether these are all parts; otherwise the other streams end with them.
        excerpt: whether the pictures are a part of the source's: the other streams then begin and end with
            them, and time begins at 0.

    Returns:
        sentences about what could not be taken over.
    """
    num_refused = 0
    with atomic_path(output) as temporary, ExitStack() as stack:
        options = {"fflags": "+bitexact"}
        if output.suffix.lower() in _STREAMED:
            options["movflags"] = "+faststart"
        # Named, as in the trial: of .m4v FFmpeg would take iPods' muxer, which refuses what any player plays.
        format_ = FORMATS[output.suffix.lower()]
        container = stack.enter_context(av.open(str(temporary), "w", format=format_, options=options))
        stream = _add_film(container, pieces[0][0], track)
        stream.time_base = time_base
        origin = pieces[0][1].times[0] if excerpt else 0
        streams = [_video_packets(pieces, stream, time_base, origin=origin)]
        if companions is not None:
            last = pieces[-1][1]
            to_end = whole and not excerpt
            end = math.inf if to_end else float((last.times[-1] + last.durations[-1]) * time_base)
            original = stack.enter_context(open_video(companions.source))
            begin = float(origin * time_base)
            streams += _add_companions(original, container, companions, begin=begin, end=end)
        if remark:
            key = next((key for key in container.metadata if key.lower() == "comment"), "comment")
            container.metadata[key] = "\n".join(filter(None, [container.metadata.get(key), remark]))
        for _, packet in heapq.merge(*streams, key=lambda timed: timed[0]):
            try:
                container.mux(packet)
            except ValueError:
                # Damaged sound is no reason to lose the pictures.
                if packet.stream is stream:
                    raise
                num_refused += 1
    if not num_refused:
        return []
    return [f"{num_refused} packets of the sound or another stream are damaged: left out"]


def _add_film(container: OutputContainer, part: Path, track: VideoTrack) -> av.VideoStream:
    """Add a stream for the packets of parts to a result."""
    with av.open(str(part)) as first:
        try:
            stream = container.add_stream_from_template(first.streams.video[0])
        except UnknownCodecError:
            # The decoder is another library than the encoder (AV1).
            return track.add_to(container)
    if track.tag and container.format.name != "matroska":
        stream.codec_context.codec_tag = track.tag
    return stream


def _add_companions(
    original: av.container.InputContainer,
    container: OutputContainer,
    companions: Companions,
    *,
    begin: float,
    end: float,
) -> list[Timed]:
    """Add the streams, tags, time code and chapters of a source to a result; returns the streams' packets."""
    tags = {key: value for key, value in original.metadata.items() if key.lower() not in _OWN_TAGS}
    container.metadata.update(tags)
    # The time code is that of the source's first picture.
    if (code := timecode_of(original)) and not begin:
        container.streams.video[0].metadata["timecode"] = code
    with suppress(av.FFmpegError):
        if chapters := original.chapters():
            shift = float(Clock(original).shift) - begin
            container.set_chapters(list(_chapters(chapters, shift=shift, length=end - begin)))
    streams = add_streams(original, container, companions.streams, end=end)
    return [_from(begin, timed) for timed in streams] if begin else streams


def _chapters(chapters: Sequence[Any], *, shift: float, length: float) -> Iterator[Any]:
    """The chapters within a length, s, after a shift of their times."""
    for chapter in chapters:
        unit = Fraction(chapter["time_base"] or 1)
        first, last = (max(chapter[edge] + round(shift / unit), 0) for edge in ("start", "end"))
        if length < math.inf:
            last = min(last, round(length / unit))
        if first < last:
            yield {**chapter, "start": first, "end": last}


def _from(begin: float, timed: Timed) -> Timed:
    """What is shown from `begin`, s, on, with times that count from there."""
    for time, packet in timed:
        shift = round(begin / (packet.time_base or 1))
        pts = (packet.pts if packet.pts is not None else packet.dts or 0) - shift
        dts = (stamp_of(packet) or 0) - shift
        if packet.stream.type == "subtitle" and pts < 0 < pts + (packet.duration or 0):
            packet.duration = pts + (packet.duration or 0)
            pts = dts = 0
        if pts >= 0:
            packet.pts, packet.dts = pts, dts
            yield max(time - begin, 0), packet


def _video_packets(
    pieces: Sequence[tuple[Path, Part]], stream: av.VideoStream, time_base: Fraction, *, origin: int
) -> Timed:
    for path, part in pieces:
        with av.open(str(path)) as container:
            packets = (packet for packet in container.demux(video=0) if packet.size)
            for packet, time, duration in zip(packets, part.times, part.durations, strict=True):
                packet.stream, packet.time_base = stream, time_base
                packet.pts = packet.dts = time - origin
                packet.duration = duration
                yield float((time - origin) * time_base), packet
