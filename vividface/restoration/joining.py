"""Joining complete parts to one video, with the sound, subtitles, chapters and tags of its source."""

from __future__ import annotations

import heapq
import math
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer

from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.restoration.writing import Part
from vividface.video import ffmpeg_executable

# Those that hold H.264 at any time stamps.
CONTAINERS = frozenset({".mp4", ".mov", ".m4v", ".mkv"})
# Those whose index can be moved to the front, for players that stream.
_STREAMED = CONTAINERS - {".mkv"}
# Written by FFmpeg itself, or about the source's file and not its content.
_OWN_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "duration"})

# Packets with their times, s.
_Timed = Iterator[tuple[float, "av.Packet[Any]"]]


def require_container(path: Path) -> None:
    """Raise `InputError` unless the name is one of a container for H.264 at any time stamps."""
    if path.suffix.lower() not in CONTAINERS:
        raise InputError(f"{path}: unsupported container; use {', '.join(sorted(CONTAINERS))}")


def join_video(
    output: Path,
    pieces: Sequence[tuple[Path, Part]],
    *,
    time_base: Fraction,
    source: Path | None,
    whole: bool = True,
) -> list[str]:
    """Join the parts of a video and the other streams of its source, none of them encoded again.

    Args:
        output: path of the video, written atomically.
        pieces: files of the parts, in order.
        time_base: unit of the parts' times, s.
        source: video whose sound, subtitles, chapters and tags are copied; None copies none.
        whole: whether these are all parts; otherwise the other streams end with them.

    Returns:
        sentences about what could not be kept as it was.
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
            folder = pieces[0][0].parent
            streams += _other_packets(
                original, container, source=source, folder=folder, end=end, stack=stack, notes=notes
            )
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
    *,
    source: Path,
    folder: Path,
    end: float,
    stack: ExitStack,
    notes: list[str],
) -> list[_Timed]:
    """Sound and subtitles, per file they are read from.

    Args:
        original: opened source.
        container: opened result.
        source: path of the source.
        folder: folder for sound that is converted.
        end: time at which the streams end, s.
        stack: stack of what is closed after the packets are written.
        notes: list that sentences about what cannot be kept are appended to.
    """
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
            aac = container.add_stream_from_template(converted.streams.audio[0])
            others.append(_packets(converted, {0: aac}, end))
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
