"""Frames as they are stored, in planes of luma and chroma, so that what is not changed stays as it is."""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.format import VideoFormat

from vividface.orientation import Orientation
from vividface.video import EXACT

# px: pixels around a change that the filters of its chroma reach.
_REACH = 8
_FULL_RANGE = 2


def layout_of(name: str) -> str:
    """The planar layout, without transparency, that a format's pixels fit into.

    Args:
        name: FFmpeg's name of a pixel format.

    Returns:
        FFmpeg's name: `yuv420p`, `yuv422p`, `yuv444p`, `gbrp` or `gray`, or the same with `10le`.
    """
    format_ = VideoFormat(name, 16, 16)
    components = [part for part in format_.components if not part.is_alpha]
    depth = "10le" if max(part.bits for part in components) > 8 else ""
    if format_.is_rgb or format_.has_palette:
        return f"gbrp{depth}"
    if len(components) < 3:
        return f"gray{depth}"
    ratio = 16 // format_.chroma_width(16), 16 // format_.chroma_height(16)
    chroma = {(1, 1): "444", (2, 1): "422", (1, 2): "444", (4, 1): "422"}.get(ratio, "420")
    return f"yuv{chroma}p{depth}"


def has_transparency(name: str) -> bool:
    """Whether a pixel format has an alpha channel.

    Args:
        name: FFmpeg's name of a pixel format.
    """
    return any(part.is_alpha for part in VideoFormat(name, 16, 16).components)


def planes_of(frame: av.VideoFrame) -> list[np.ndarray]:
    """The planes (H, W) of a frame in a layout of `layout_of`, as views into it."""
    kind = np.dtype("<u2" if frame.format.name.endswith("10le") else np.uint8)
    return [
        np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)[
            : plane.height, : plane.width
        ]
        for plane in frame.planes
    ]


def frame_of(planes: list[np.ndarray], layout: str) -> av.VideoFrame:
    """A frame in a layout of `layout_of`.

    Args:
        planes: planes (H, W) of the layout, uint8 or uint16.
        layout: FFmpeg's name of the layout.
    """
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, layout)
    for target, plane in zip(planes_of(frame), planes, strict=True):
        target[:] = plane
    return frame


def stored_as(frame: av.VideoFrame, layout: str, *, matrix: int, full_range: bool) -> av.VideoFrame:
    """A decoded frame in another layout, with the same range and matrix.

    Args:
        frame: decoded frame.
        layout: FFmpeg's name of the layout, of the same colours (RGB, or luma and chroma).
        matrix: FFmpeg's number of the matrix from RGB.
        full_range: whether values span the full range.
    """
    if frame.format.name == layout:
        return frame
    if layout.startswith("yuv") and layout_of(frame.format.name).startswith("gray"):
        return _with_neutral_chroma(frame, layout)
    value_range = _FULL_RANGE if full_range else 1
    return frame.reformat(
        format=layout,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=value_range,
        dst_color_range=value_range,
        interpolation=EXACT,
    )


def upright(frame: av.VideoFrame, orientation: Orientation) -> list[np.ndarray]:
    """The planes of a frame as they are shown, cut to even sides, as halved chroma needs.

    Args:
        frame: frame in a layout of `layout_of`; 4:2:2 cannot be transposed.
        orientation: orientation of the frame.
    """
    planes = [orientation.apply(plane) for plane in planes_of(frame)]
    full = planes[0].shape
    cut = []
    for plane in planes:
        # Chroma of an odd side is rounded up.
        down, right = (-(-whole // part) for whole, part in zip(full, plane.shape, strict=True))
        cut.append(plane[: (full[0] - full[0] % 2) // down, : (full[1] - full[1] % 2) // right])
    return cut


def changed(
    planes: list[np.ndarray],
    before: np.ndarray,
    after: np.ndarray,
    *,
    layout: str,
    matrix: int,
    full_range: bool,
) -> list[np.ndarray]:
    """Stored planes with the change of a picture added; values beyond it stay as they are.

    The same conversion to luma and chroma of both pictures gives the change, so that its errors cancel out.

    Args:
        planes: planes as they were read; they are not written to.
        before: picture (H, W, 3) that they show, uint8 or uint16, RGB, at even sides.
        after: the picture that they are to show, of the same shape and type.
        layout: FFmpeg's name of the planes' layout.
        matrix: FFmpeg's number of the matrix from RGB.
        full_range: whether values span the full range.
    """
    box = _changed_box(before, after)
    if box is None:
        return planes
    rows, columns = box
    converted = [
        from_rgb(picture[rows, columns], layout, matrix=matrix, full_range=full_range)
        for picture in (before, after)
    ]
    peak = 1023 if layout.endswith("10le") else 255
    result = []
    for plane, old, new in zip(planes, *(planes_of(frame) for frame in converted), strict=True):
        down, right = (whole // part for whole, part in zip(before.shape, plane.shape, strict=False))
        plane = plane.copy()
        region = plane[rows.start // down : rows.stop // down, columns.start // right : columns.stop // right]
        region[:] = (region + (new.astype(np.int32) - old)).clip(0, peak)
        result.append(plane)
    return result


def from_rgb(picture: np.ndarray, layout: str, *, matrix: int, full_range: bool) -> av.VideoFrame:
    """A picture in a stored layout.

    Args:
        picture: picture (H, W, 3), uint8 or uint16, RGB.
        layout: FFmpeg's name of the layout.
        matrix: FFmpeg's number of the matrix from RGB.
        full_range: whether values span the full range.
    """
    deep = picture.dtype == np.uint16
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb48le" if deep else "rgb24")
    if layout.startswith("gbr"):
        return frame.reformat(format=layout)
    return frame.reformat(
        format=layout,
        dst_colorspace=matrix,
        dst_color_range=_FULL_RANGE if full_range else 1,
        interpolation=None if deep else EXACT,
    )


def _changed_box(before: np.ndarray, after: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns that hold all changed pixels and what their filters reach, at even edges."""
    difference = cv2.absdiff(before, after)
    spans = []
    for changes in (difference.reshape(len(difference), -1).max(axis=1), difference.max(axis=0).max(axis=1)):
        indices = np.flatnonzero(changes)
        if not len(indices):
            return None
        start = max(int(indices[0]) - _REACH, 0)
        stop = min(int(indices[-1]) + 1 + _REACH, len(changes))
        spans.append(slice(start - start % 2, stop + stop % 2))
    return spans[0], spans[1]


def _with_neutral_chroma(frame: av.VideoFrame, layout: str) -> av.VideoFrame:
    luma = planes_of(frame.reformat(format=layout_of(frame.format.name)))[0]
    result = av.VideoFrame(frame.width, frame.height, layout)
    planes = planes_of(result)
    planes[0][:] = luma
    for plane in planes[1:]:
        plane[:] = 512 if layout.endswith("10le") else 128
    return result
