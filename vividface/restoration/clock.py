"""The clocks of a video's streams: common start taken off, jumps between joined recordings closed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.format import Flags
from av.stream import Stream

from vividface.video import film_stream

# s: FFmpeg's own limit for a jump of the clock, beyond which no frame is shown that long.
_JUMP = Fraction(10)


class Clock:
    """Corrects the time stamps of packets as they are read, in the order of the file.

    A recording that begins at ten o'clock begins at 0. Where recordings were joined, and in a broadcast, the
    clock may start anew: a jump of more than 10 s is closed, where the container allows jumps at all. Both
    keep what lies between the streams: they share the start and the jumps.

    Every reader of a file has a clock of its own; packets of all of `streams` have to pass it.

    Args:
        container: opened video.

    Attributes:
        streams: streams that tell the time: the film, and where the clock may jump the sound too.
    """

    def __init__(self, container: InputContainer) -> None:
        film = film_stream(container)
        self._container, self._film = container, film.index
        self._jumps = bool(Flags(container.format.flags) & Flags.ts_discont)
        self.streams: list[Stream] = [film, *(container.streams.audio if self._jumps else ())]
        starts = [
            stream.start_time * stream.time_base
            for stream in (film, *container.streams.audio)
            if stream.start_time is not None and stream.time_base
        ]
        # Stamps below 0 are a codec's warming up, which players skip.
        self._offsets = [-max(min(starts, default=Fraction(0)), Fraction(0))]
        self._passed: dict[int, int] = {}
        self._expected: dict[int, Fraction] = {}

    def demux(self, *others: Stream) -> Iterator[av.Packet[Any]]:
        """The packets of the clock's streams and of others, at their corrected times.

        Args:
            others: further streams of the same container.
        """
        wanted = {stream.index: stream for stream in (*self.streams, *others)}
        for packet in self._container.demux(list(wanted.values())):
            self._correct(packet)
            yield packet

    def shifted(self, seconds: Fraction) -> Fraction:
        """A time of the file's beginning, such as a chapter's, with the common start taken off.

        Args:
            seconds: time, s.
        """
        return seconds + self._offsets[0]

    def _correct(self, packet: av.Packet[Any]) -> None:
        index, base = packet.stream.index, packet.time_base
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or not base:
            return
        time = stamp * base
        tells_time = any(stream.index == index for stream in self.streams)
        if tells_time and self._jumps:
            self._follow(index, time)
            self._expected[index] = time + self._offset(index) + (packet.duration or 0) * base
        if offset := self._offset(index if tells_time else self._film):
            ticks = round(offset / base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def _offset(self, index: int) -> Fraction:
        return self._offsets[self._passed.get(index, 0)]

    def _follow(self, index: int, time: Fraction) -> None:
        """Pass a jump of the clock, with the same offset as the stream that came to it first."""
        expected = self._expected.get(index)
        if expected is None or abs(time + self._offset(index) - expected) <= _JUMP:
            return
        passed = self._passed.get(index, 0) + 1
        while passed < len(self._offsets) and abs(time + self._offsets[passed] - expected) > _JUMP:
            passed += 1
        if passed == len(self._offsets):
            self._offsets.append(expected - time)
        self._passed[index] = passed
