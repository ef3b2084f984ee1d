"""Frames that are evenly spaced but for the coarse time base of their container."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vividface.restoration.clock import Clock
from vividface.video import film_stream, open_video

# s: durations that differ from the period by less are those of the grid.
_NEAR = Fraction(1, 500)


@dataclass(frozen=True)
class Grid:
    """Evenly spaced times.

    Attributes:
        first: first time, s.
        period: time between two, s.
    """

    first: Fraction
    period: Fraction

    def nearest(self, time: Fraction) -> Fraction:
        """The grid's time that is nearest to one, s."""
        return round((time - self.first) / self.period) * self.period + self.first

    def length(self, duration: Fraction) -> Fraction:
        """A frame's duration, s: the period where it is nearly that."""
        return self.period if duration and abs(duration - self.period) < _NEAR else duration


def even_grid(path: Path) -> Grid | None:
    """The grid on which a video's frames lie, where its time base cannot say so; None otherwise.

    Matroska counts milliseconds, so that 23.976 frames/s come out as 41, 42, 42 ms.

    Args:
        path: path of the video, which `probe` can read.
    """
    with open_video(path) as container:
        film = film_stream(container)
        base = Fraction(film.time_base or 1)
        rates = (film.guessed_rate, film.average_rate)
        periods = [1 / Fraction(rate) for rate in rates if rate and (1 / (rate * base)).denominator > 1]
        if not periods:
            return None
        packets = Clock(container).demux()
        of_film = (packet for packet in packets if packet.stream.index == film.index and packet.size)
        stamps = sorted(packet.pts for packet in of_film if packet.pts is not None)
    if len(stamps) < 2:
        return None
    for period in periods:
        ticks = period / base
        if all(abs(stamp - stamps[0] - index * ticks) <= 1 for index, stamp in enumerate(stamps)):
            return Grid(stamps[0] * base, period)
    return None
