"""The frames of a video in order, around what is damaged, with both fields of one moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import av
from av.container import InputContainer
from av.filter import Graph

from vividface.restoration.clock import Clock
from vividface.video import film_stream

# Whether a piece was whole, and the frame that it gave, if any.
Decoded = Iterator[tuple[bool, "av.VideoFrame | None"]]


def decoded_frames(container: InputContainer) -> Decoded:
    """Frames in order, and for each piece whether it was whole; a piece that gave no frame has None."""
    film, stamps = film_stream(container), _Stamps(container)
    try:
        for packet in Clock(container).demux():
            if packet.stream.index != film.index or _is_repeat(packet):
                continue
            stamps.add(packet)
            try:
                for frame in packet.decode():
                    yield not frame.is_corrupt, stamps.given(frame)
            except av.FFmpegError:
                yield False, None
    except av.FFmpegError:
        # The file ends here, but the decoder still holds frames.
        with suppress(av.FFmpegError):
            for frame in film.codec_context.decode(None):
                yield not frame.is_corrupt, stamps.given(frame)
        yield False, None


def _is_repeat(packet: av.Packet[Any]) -> bool:
    """Whether a packet is empty, which shows the frame before for longer (Theora), and not the file's end."""
    return not packet.size and packet.dts is not None


class _Stamps:
    """Times of presentation where a container, as AVI, says only when packets are decoded.

    The frames come out in order of presentation, one per packet: they get the packets' times in order.

    Args:
        container: opened video.
    """

    def __init__(self, container: InputContainer) -> None:
        self._waiting: deque[int] = deque()
        self._guesses_pts = container.format.name == "avi"

    def add(self, packet: av.Packet[Any]) -> None:
        """Take the next packet."""
        if packet.size and packet.dts is not None and (packet.pts is None or self._guesses_pts):
            self._waiting.append(packet.dts)

    def given(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The next frame, with its time."""
        if self._waiting:
            frame.pts = self._waiting.popleft()
        return frame


def deinterlaced(decoded: Decoded, *, every_frame: bool) -> Decoded:
    """Frames with both fields of one moment (bwdif, one frame per frame).

    Args:
        decoded: frames of `decoded_frames`.
        every_frame: whether frames that are not tagged as interlaced are too.
    """
    graph: Graph | None = None
    shape: tuple[object, ...] = ()
    for whole, frame in decoded:
        if frame is None:
            yield whole, None
            continue
        if shape != (frame.width, frame.height, frame.format.name):
            yield from ((True, rest) for rest in _flushed(graph))
            shape = (frame.width, frame.height, frame.format.name)
            graph = _bwdif(frame, every_frame=every_frame)
        assert graph is not None
        graph.vpush(frame)
        yield from ((whole, result) for result in _pulled(graph))
    yield from ((True, rest) for rest in _flushed(graph))


def _bwdif(frame: av.VideoFrame, *, every_frame: bool) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    fields = graph.add("bwdif", f"mode=send_frame:deint={'all' if every_frame else 'interlaced'}")
    graph.link_nodes(source, fields, graph.add("buffersink")).configure()
    return graph


def _flushed(graph: Graph | None) -> Iterator[av.VideoFrame]:
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph)


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield graph.vpull()
