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

# s: FFmpeg's own limits for a jump of the clock: no frame is shown that long, and stamps of decoding do not
# go back. Where a container has none of these, they are guessed and may, at a join, go back by a few frames.
_JUMP, _BACK, _BACK_OF_GUESSED = Fraction(10), Fraction(1, 10), Fraction(1)
# s of the film, and packets, that sound which comes to a jump first waits for the film.
_WAITS, _MOST_HELD = Fraction(1), 2000

# s: by so much the time from decoding a frame to showing it may change where the clock jumps.
_LAG_CHANGES = Fraction(1)

Packets = Iterator["av.Packet[Any]"]


class Clock:
    """Corrects the time stamps of packets as they are read, in the order of the file.

    A recording that begins at ten o'clock begins at 0. Where recordings were joined, and in a broadcast, the
    clock may start anew: where it goes back, and, where the container allows jumps at all, where it goes on
    by more than 10 s, the jump is closed. The film says by how much, so that the sound stays in step with it.

    Every reader of a file has a clock of its own; packets of all of `streams` have to pass it.

    Args:
        container: opened video.

    Attributes:
        streams: streams that tell the time: the film and the sound.
    """

    def __init__(self, container: InputContainer) -> None:
        film = film_stream(container)
        self._container, self._film = container, film.index
        self._jumps = bool(Flags(container.format.flags) & Flags.ts_discont)
        self.streams: list[Stream] = [film, *container.streams.audio]
        starts = [
            stream.start_time * stream.time_base
            for stream in self.streams
            if stream.start_time is not None and stream.time_base
        ]
        self._back = _BACK if self._jumps else _BACK_OF_GUESSED
        start = min(starts, default=Fraction(0))
        # Stamps below 0 are a codec's warming up, which players skip, or a clock that is about to overflow.
        self._offsets = [-start if self._jumps else -max(start, Fraction(0))]
        self._passed: dict[int, int] = {}
        # The corrected time of each stream's last packet, and of what is to follow it.
        self._last: dict[int, Fraction] = {}
        self._expected: dict[int, Fraction] = {}
        # By how many ticks a stream's frames are shown later than they are decoded.
        self._lags: dict[int, int] = {}

    def demux(self, *others: Stream) -> Packets:
        """The packets of the clock's streams and of others, at their corrected times.

        Args:
            others: further streams of the same container.
        """
        wanted = {stream.index: stream for stream in (*self.streams, *others)}
        held: list[av.Packet[Any]] = []
        since = Fraction(0)
        for packet in self._container.demux(list(wanted.values())):
            index = packet.stream.index
            if self._waits(packet) or any(index == other.stream.index for other in held):
                since = since if held else self._last[self._film]
                held.append(packet)
            else:
                before = self._passed.get(self._film, 0)
                yield self._corrected(packet)
                has_jumped = self._passed.get(self._film, 0) > before
                if not held or (not has_jumped and self._last[self._film] <= since + _WAITS):
                    continue
            if index == self._film or len(held) > _MOST_HELD:
                yield from map(self._corrected, held)
                held.clear()
        yield from map(self._corrected, held)

    @property
    def shift(self) -> Fraction:
        """The shift of times of the file's beginning, such as the chapters', by the common start, s."""
        return self._offsets[0]

    def _waits(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet is the first behind a jump that the film has not come to yet."""
        index, time = packet.stream.index, _time(packet)
        if time is None or index == self._film or index not in self._last or self._film not in self._last:
            return False
        return self._is_jump(index, time) and self._passed.get(index, 0) == self._passed.get(self._film, 0)

    def _corrected(self, packet: av.Packet[Any]) -> av.Packet[Any]:
        index, base, time = packet.stream.index, packet.time_base, _time(packet)
        if time is None or not base:
            return packet
        tells_time = any(stream.index == index for stream in self.streams)
        if tells_time and packet.dts is not None:
            shown = time if self._jumps or packet.pts is None else packet.pts * base
            before = self._passed.get(index, 0)
            self._follow(index, time, shown)
            self._last[index] = time + self._offset(index)
            end = shown + self._offset(index) + (packet.duration or 0) * base
            self._expected[index] = end if self._jumps else max(end, self._expected.get(index, end))
            if self._jumps:
                self._put_near(packet, jumps=self._passed.get(index, 0) > before)
        if offset := self._offset(index if tells_time else self._film):
            ticks = round(offset / base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        return packet

    def _put_near(self, packet: av.Packet[Any], *, jumps: bool) -> None:
        """Take the time of presentation from that of decoding where a jump lies between the two."""
        if packet.pts is None or packet.dts is None:
            return
        index, lag = packet.stream.index, packet.pts - packet.dts
        usual = self._lags.get(index, 0)
        is_far = jumps and abs(lag - usual) * packet.time_base > _LAG_CHANGES
        if not is_far and -self._back <= lag * packet.time_base <= _JUMP:
            self._lags[index] = lag
        else:
            packet.pts = packet.dts + usual

    def _offset(self, index: int) -> Fraction:
        return self._offsets[self._passed.get(index, 0)]

    def _is_jump(self, index: int, time: Fraction) -> bool:
        corrected = time + self._offset(index)
        if corrected < self._last[index] - self._back:
            return True
        return self._jumps and abs(corrected - self._expected[index]) > _JUMP

    def _follow(self, index: int, time: Fraction, shown: Fraction) -> None:
        """Pass a jump of the clock, with the same offset as the stream that came to it first.

        Args:
            index: index of the stream.
            time: time of the next packet, which tells of a jump.
            shown: time that has to follow what was before a jump.
        """
        passed = self._passed.get(index, 0)
        if index not in self._last:
            if self._film in self._last:
                self._passed[index] = self._nearest_to_film(time)
            return
        expected = self._expected[index]
        if self._is_jump(index, time):
            passed += 1
            while passed < len(self._offsets) and abs(time + self._offsets[passed] - expected) > _JUMP:
                passed += 1
            if passed == len(self._offsets):
                # Sound that goes back alone overlaps what was before.
                if index != self._film and abs(time + self._offset(index) - expected) <= _JUMP:
                    return
                self._offsets.append(expected - shown)
        elif index == self._film and passed and self._is_back(time):
            # It was no jump but a stamp that is wrong.
            self._offsets.append(self._offsets[passed - 1])
            passed = len(self._offsets) - 1
        self._passed[index] = passed

    def _is_back(self, time: Fraction) -> bool:
        """Whether the film goes on as it did before the last jump."""
        expected, passed = self._expected[self._film], self._passed[self._film]
        now, before = (abs(time + self._offsets[number] - expected) for number in (passed, passed - 1))
        return now > self._back >= before

    def _nearest_to_film(self, time: Fraction) -> int:
        """The jumps behind which a stream begins."""
        film = self._last[self._film]
        return min(range(len(self._offsets)), key=lambda number: abs(time + self._offsets[number] - film))


def _time(packet: av.Packet[Any]) -> Fraction | None:
    """The time of decoding, s, or else that of presentation."""
    stamp = stamp_of(packet)
    return None if stamp is None or not packet.time_base else Fraction(stamp * packet.time_base)


def stamp_of(packet: av.Packet[Any]) -> int | None:
    """The stamp of decoding of a packet, or else that of presentation, in units of its time base."""
    return packet.dts if packet.dts is not None else packet.pts
