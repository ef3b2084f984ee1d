"""Times of a video as people write them: seconds, or HH:MM:SS.mmm."""

from __future__ import annotations

import re
from fractions import Fraction

_TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?|\.\d+)")
_POINT = re.compile(r"\s*(\d+)\s*,\s*(\d+)\s*@\s*(\S+)\s*")


def parse_time(text: str) -> Fraction:
    """A time as exact seconds.

    Args:
        text: seconds such as `83.5`, or `MM:SS` or `HH:MM:SS`, the seconds with any fraction.

    Raises:
        ValueError: it is neither.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None or (match[2] is not None and (Fraction(match[3]) >= 60 or int(match[2]) >= 60)):
        raise ValueError(f"{text!r} is no time; write seconds (83.5) or HH:MM:SS (00:01:23.5)")
    hours, minutes, seconds = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)


def parse_point(text: str) -> tuple[int, int, Fraction] | None:
    """A pixel at a time, `X,Y@TIME`: x, y and seconds; None for another text.

    Args:
        text: pixel and time, such as `640,200@00:01:23.5`.

    Raises:
        ValueError: what stands behind the pixel is no time.
    """
    match = _POINT.fullmatch(text)
    return None if match is None else (int(match[1]), int(match[2]), parse_time(match[3]))
