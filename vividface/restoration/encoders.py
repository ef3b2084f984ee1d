"""The codecs that a video can be written in."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple

import av
from av.container import OutputContainer

from vividface.errors import InputError
from vividface.restoration.look import Look, guessed_matrix

Codec = Literal["h264", "h265", "av1", "ffv1", "prores", "copy-of-input"]
# FFmpeg's names of the codecs that `copy-of-input` keeps.
_OF_INPUT: dict[str, Codec] = {
    "h264": "h264",
    "hevc": "h265",
    "av1": "av1",
    "libdav1d": "av1",
    "ffv1": "ffv1",
    "prores": "prores",
}
_UNSPECIFIED = 2
_YUV = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
# FFmpeg's AVMasteringDisplayMetadata: red, green, blue, white point, darkest, brightest, as fractions.
_MASTERING = struct.Struct("<20i2i")


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder whose packets lie in the order of their frames, so that parts join at any time stamps.

    Attributes:
        name: FFmpeg's name of the encoder.
        containers: suffixes of the containers that hold it, the usual one first.
        layouts: layouts of planes that it takes, those that any player shows first.
        options: options of the encoder.
        quality: default rate factor, lower is better; None where the codec has none.
        max_quality: greatest rate factor.
        params: name of the option that takes the encoder's own parameters; empty without.
        tag: code of the codec in MP4, where FFmpeg's own is not the usual one.
    """

    name: str
    containers: tuple[str, ...]
    layouts: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)
    quality: int | None = None
    max_quality: int = 51
    params: str = ""
    tag: str = ""


ENCODERS: dict[str, Encoder] = {
    # With mbtree PyAV's x264 gives other bits in about one of a hundred encodings of the same frames.
    "h264": Encoder(
        name="libx264",
        containers=(".mp4", ".mov", ".m4v", ".mkv"),
        layouts=_YUV,
        options={"preset": "faster", "bf": "0", "mbtree": "0"},
        quality=16,
        params="x264-params",
    ),
    "h265": Encoder(
        name="libx265",
        containers=(".mp4", ".mov", ".m4v", ".mkv"),
        layouts=_YUV,
        options={"preset": "fast", "x265-params": "bframes=0:log-level=error"},
        quality=18,
        params="x265-params",
        tag="hvc1",
    ),
    "av1": Encoder(
        name="libsvtav1",
        containers=(".mp4", ".mkv"),
        layouts=("yuv420p", "yuv420p10le"),
        options={"preset": "8"},
        quality=22,
        max_quality=63,
        params="svtav1-params",
    ),
    "ffv1": Encoder(
        name="ffv1",
        containers=(".mkv",),
        layouts=(*_YUV, "gray", "gray10le", "bgr0", "gbrp10le"),
        options={"level": "3", "g": "1", "slices": "4", "slicecrc": "1"},
    ),
    "prores": Encoder(name="prores_ks", containers=(".mov", ".mkv"), layouts=("yuv422p10le", "yuv444p10le")),
}
CONTAINERS = frozenset(suffix for encoder in ENCODERS.values() for suffix in encoder.containers)


def chosen_codec(codec: Codec, of_input: str) -> tuple[str, str]:
    """The codec to write, a key of `ENCODERS`, and a note where it is not the one asked for.

    Args:
        codec: codec asked for.
        of_input: FFmpeg's name of the source's codec; empty for images.
    """
    if codec != "copy-of-input":
        return codec, ""
    if of_input in _OF_INPUT:
        return _OF_INPUT[of_input], ""
    note = f"the input's codec ({of_input}) cannot be written here: the result is H.264" if of_input else ""
    return "h264", note


class Colours(NamedTuple):
    """Tags of colours, by FFmpeg's numbers.

    Attributes:
        matrix: matrix from RGB to luma and chroma.
        range: range of the values.
        primaries: primaries of the colours.
        transfer: transfer characteristics.
    """

    matrix: int
    range: int
    primaries: int
    transfer: int


@dataclass(frozen=True, kw_only=True)
class VideoTrack:
    """The video of a result.

    Attributes:
        size: width and height, px.
        fps: frame rate.
        look: storage of the source's pixels.
        codec: key of `ENCODERS`.
        quality: rate factor; None takes the codec's default.
    """

    size: tuple[int, int]
    fps: Fraction
    look: Look
    codec: str = "h264"
    quality: int | None = None

    @property
    def even_size(self) -> tuple[int, int]:
        """Width and height as they are stored: even, as halved chroma needs, px."""
        return self.size[0] - self.size[0] % 2, self.size[1] - self.size[1] % 2

    @property
    def layout(self) -> str:
        """The layout in which frames are stored: luma and chroma, but in FFV1, which keeps RGB and grey."""
        wanted, depth = self.look.layout, "10le" if self.look.layout.endswith("10le") else ""
        if self.codec == "ffv1":
            return wanted
        if wanted.startswith(("gbr", "gray")):
            wanted = f"yuv420p{depth}"
        layouts = ENCODERS[self.codec].layouts
        if wanted in layouts:
            return wanted
        return next((name for name in layouts if name == f"yuv420p{depth}"), layouts[0])

    @property
    def colours(self) -> Colours:
        """How the frames are tagged; made of RGB they are BT.709's."""
        look = self.look
        matrix, primaries, transfer = look.matrix, look.primaries, look.transfer
        value_range = 2 if look.full_range else look.range
        if look.layout.startswith("gbr"):
            matrix, value_range = (0, 2) if self.layout.startswith("gbr") else (1, 1)
            primaries, transfer = (value if value != _UNSPECIFIED else 1 for value in (primaries, transfer))
        elif matrix == _UNSPECIFIED and guessed_matrix(self.size[1]) != look.coefficients:
            # Enlarged, it would be taken for another.
            matrix = look.coefficients
        return Colours(matrix, value_range, primaries, transfer)

    @property
    def tag(self) -> str:
        """The code of the codec in MP4, or an empty text for FFmpeg's own."""
        return ENCODERS[self.codec].tag

    def require_fitting(self, path: Path) -> None:
        """Raise `InputError` where codec, quality and container do not fit each other.

        Args:
            path: path of the result.
        """
        encoder, suffix = ENCODERS[self.codec], path.suffix.lower()
        fitting = ", ".join(sorted(encoder.containers))
        if suffix not in CONTAINERS:
            raise InputError(f"{path}: unsupported container; use {fitting}")
        if suffix not in encoder.containers:
            raise InputError(f"{path}: does not hold {self.codec}; use {fitting}, or another --codec")
        if self.quality is None:
            return
        if encoder.quality is None:
            raise InputError(f"--quality {self.quality}: {self.codec} has no rate factor; leave it out")
        if not 0 <= self.quality <= encoder.max_quality:
            raise InputError(
                f"--quality {self.quality}: is not in the range of {self.codec}, 0 to {encoder.max_quality}"
            )

    def add_to(self, container: OutputContainer) -> av.VideoStream:
        """Add the track's stream to a result, or to a part of one."""
        encoder = ENCODERS[self.codec]
        # SVT-AV1 tells its settings otherwise, on standard error.
        os.environ.setdefault("SVT_LOG", "1")
        options = dict(encoder.options)
        if encoder.quality is not None:
            options["crf"] = str(encoder.quality if self.quality is None else self.quality)
        if encoder.params and (hdr := _hdr(self.look, self.codec)):
            options[encoder.params] = ":".join(filter(None, [options.get(encoder.params, ""), hdr]))
        stream = container.add_stream(encoder.name, rate=self.fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = self.even_size
        stream.pix_fmt = "bgr0" if self.layout == "gbrp" else self.layout
        context = stream.codec_context
        context.sample_aspect_ratio = self.look.pixel_aspect
        colours = self.colours
        context.colorspace, context.color_range = colours.matrix, colours.range
        context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        return stream


def _hdr(look: Look, codec: str) -> str:
    """HDR10's static metadata as the encoder spells it; empty without."""
    words = []
    if len(look.mastering) >= _MASTERING.size and codec in ("h264", "h265", "av1"):
        words.append(_mastering_words(look.mastering, codec))
    if len(look.light_level) >= 8:
        most, average = struct.unpack_from("<2I", look.light_level)
        name = {"h264": "cll", "h265": "max-cll", "av1": "content-light"}.get(codec)
        if name and most:
            words.append(f"{name}={most},{average}")
    return ":".join(word for word in words if word)


def _mastering_words(data: bytes, codec: str) -> str:
    values = _MASTERING.unpack_from(data)
    numbers = [Fraction(top, bottom or 1) for top, bottom in zip(values[0:20:2], values[1:20:2], strict=True)]
    has_primaries, has_luminance = values[20:]
    if not (has_primaries and has_luminance):
        return ""
    points, (darkest, brightest) = numbers[:8], numbers[8:]
    if codec == "av1":
        spelled = [f"{float(value):.5f}" for value in points]
        light = f"{float(brightest):.4f},{float(darkest):.4f}"
    else:
        spelled = [str(round(value * 50000)) for value in points]
        light = f"{round(brightest * 10000)},{round(darkest * 10000)}"
    red, green, blue, white = (",".join(spelled[index : index + 2]) for index in (0, 2, 4, 6))
    name = "master-display" if codec == "h265" else "mastering-display"
    return f"{name}=G({green})B({blue})R({red})WP({white})L({light})"
