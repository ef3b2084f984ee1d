"""How a video stores its pixels, and what they show."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np

from vividface.orientation import Orientation, orientation_of
from vividface.restoration.planes import layout_of, stored_as
from vividface.video import EXACT

# FFmpeg's numbers of an unspecified matrix, of BT.709's and of BT.601's.
_UNSPECIFIED, _BT709, _BT601 = 2, 1, 6
_FULL_RANGE = 2
# px: height from which players take untagged video for BT.709.
_HD_HEIGHT = 720


@dataclass(frozen=True)
class Look:
    """How a video stores its pixels, so that the result can store them alike.

    The colour values are FFmpeg's numbers; 2 is unspecified, and 0 for the range.

    Attributes:
        layout: layout of the planes, a name of `planes.layout_of`.
        matrix: matrix from RGB to luma and chroma, as tagged.
        range: range of the values, limited or full.
        primaries: primaries of the colours.
        transfer: transfer characteristics.
        pixel_aspect: width of a pixel over its height.
        orientation: turn of the stored frames into the upright ones.
        mastering: mastering display of HDR10, as FFmpeg's bytes; empty without.
        light_level: content light level of HDR10, as FFmpeg's bytes; empty without.
        height: height of the upright frames, px, from which players guess an untagged matrix.
    """

    layout: str = "yuv420p"
    matrix: int = 1
    range: int = 1
    primaries: int = 1
    transfer: int = 1
    pixel_aspect: Fraction = Fraction(1)
    orientation: Orientation = field(default_factory=Orientation)
    mastering: bytes = b""
    light_level: bytes = b""
    height: int = 0

    @property
    def coefficients(self) -> int:
        """The matrix, guessed as players guess it where there is no tag."""
        if self.layout.startswith("gbr"):
            return _BT709
        return self.matrix if self.matrix != _UNSPECIFIED else guessed_matrix(self.height)

    @property
    def full_range(self) -> bool:
        """Whether luma and chroma span the full range, as untagged grey does; those made of RGB do not."""
        if self.layout.startswith("gbr"):
            return False
        return self.range == _FULL_RANGE or (not self.range and self.layout.startswith("gray"))


def guessed_matrix(height: int) -> int:
    """FFmpeg's number of the matrix that players take for that of an untagged video.

    Args:
        height: height of the frames, px.
    """
    return _BT709 if height >= _HD_HEIGHT else _BT601


def to_rgb(frame: av.VideoFrame, look: Look, *, deep: bool) -> np.ndarray:
    """A decoded frame as (H, W, 3), RGB, as it is stored.

    Args:
        frame: decoded frame.
        look: storage of the frame.
        deep: whether the pixels are uint16 instead of uint8.
    """
    name = "rgb48le" if deep else "rgb24"
    if frame.format.is_rgb or frame.format.has_palette:
        return frame.to_ndarray(format=name)
    if look.layout.startswith("gray"):
        frame = stored_as(frame, look.layout.replace("gray", "yuv420p"), matrix=_BT601, full_range=True)
    return frame.to_ndarray(
        format=name,
        src_colorspace=look.coefficients,
        src_color_range=_FULL_RANGE if look.full_range else 1,
        dst_color_range=_FULL_RANGE,
        interpolation=None if deep else EXACT,
        threads=1,
    )


def look_of(film: av.VideoStream, first: av.VideoFrame) -> Look:
    """The look of a video.

    Args:
        film: stream of the video.
        first: decoded frame of it.
    """
    orientation = orientation_of(first)
    aspect = Fraction(film.sample_aspect_ratio or 1)
    return Look(
        layout=layout_of(first.format.name),
        matrix=int(first.colorspace),
        range=_FULL_RANGE if first.format.name.startswith("yuvj") else int(first.color_range),
        primaries=int(first.color_primaries),
        transfer=int(first.color_trc),
        pixel_aspect=1 / aspect if orientation.transposed else aspect,
        orientation=orientation,
        mastering=_side_data(first, "MASTERING_DISPLAY_METADATA"),
        light_level=_side_data(first, "CONTENT_LIGHT_LEVEL"),
        height=orientation.size(first.width, first.height)[1],
    )


def _side_data(frame: av.VideoFrame, kind: str) -> bytes:
    data: Any = frame.side_data.get(kind)
    return b"" if data is None else bytes(data)
