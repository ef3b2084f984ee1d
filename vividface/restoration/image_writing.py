"""Writing image files of any kind, and what their formats cannot hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms

from vividface.files import atomic_path
from vividface.restoration.image_metadata import (
    Metadata,
    for_jpeg,
    too_long_for_jpeg,
    with_chunks,
    with_tags,
)
from vividface.restoration.images import Form
from vividface.restoration.transparency import flattened


@dataclass(frozen=True)
class _Format:
    """What a format of results can hold."""

    name: str
    alpha: bool = True
    deep: bool = False
    grey: bool = True
    metadata: bool = True


_JPEG, _TIFF = _Format("JPEG", alpha=False), _Format("TIFF", deep=True)
_HEIF = _Format("HEIF", grey=False)
_FORMATS = {
    ".png": _Format("PNG", deep=True),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": _Format("WEBP", grey=False),
    ".avif": _Format("AVIF", grey=False),
    ".heic": _HEIF,
    ".heif": _HEIF,
    ".hif": _HEIF,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".jfif": _JPEG,
    ".bmp": _Format("BMP", alpha=False, metadata=False),
}
WRITABLE = frozenset(_FORMATS)


def write_still(path: Path, frame: np.ndarray, form: Form) -> None:
    """Write an image file, atomically; what its format cannot hold is converted or left out, see `losses`.

    Args:
        path: path of the file; the suffix says the format, one of `WRITABLE`.
        frame: upright picture (H, W, 3), RGB, or (H, W, 4) with alpha, uint8 or uint16.
        form: how the source stored its picture.
    """
    kind, metadata = _FORMATS[path.suffix.lower()], form.metadata
    if not kind.alpha:
        frame = flattened(frame)
    if frame.dtype == np.uint16 and not kind.deep:
        frame = np.rint(frame / 257).astype(np.uint8)
    if metadata.profile and not kind.metadata:
        frame = _in_srgb(frame, metadata.profile)
    # OpenCV has no grey with alpha.
    if form.is_grey and kind.grey and not (frame.dtype == np.uint16 and frame.shape[2] == 4):
        frame = np.dstack([cv2.cvtColor(frame[..., :3], cv2.COLOR_RGB2GRAY), frame[..., 3:]])
    if not _fits(metadata.profile, is_grey=frame.shape[2] < 3):
        metadata = replace(metadata, profile=b"")
    with atomic_path(path) as temporary:
        temporary.write_bytes(_encoded(frame, kind, metadata))


def losses(suffix: str, form: Form, *, is_transparent: bool, is_deep: bool) -> list[str]:
    """Sentences about what a file of a format cannot hold of a source.

    Args:
        suffix: suffix of the result's name, of an image or a video.
        form: how the source stores its pictures.
        is_transparent: whether anything of it is transparent.
        is_deep: whether its pixels have more than 8 bits.
    """
    kind, metadata = _FORMATS.get(suffix.lower()), form.metadata
    where = f"cannot be stored in {suffix.lower().removeprefix('.')}"
    notes = []
    if is_transparent and (kind is None or not kind.alpha):
        notes.append(f"the transparency {where}: it is white now")
    if is_deep and kind is not None and not kind.deep:
        notes.append(f"the depth of more than 8 bits {where}: there are 8 now")
    is_grey = form.is_grey and kind is not None and kind.grey
    if metadata.profile and kind is not None and not kind.metadata:
        notes.append(f"the colour profile {where}: the colours are sRGB now")
    elif metadata.profile and (kind is None or not _fits(metadata.profile, is_grey=is_grey)):
        notes.append(f"the colour profile {where}: left out")
    if metadata.colours and (kind is None or kind.name != "PNG"):
        notes.append(f"the colours' tag ({metadata.colours}) {where}: left out")
    if kind is not None:
        beside = {"EXIF data": metadata.exif, "XMP data": metadata.xmp}
        lost = [name for name, content in beside.items() if content] if not kind.metadata else []
        lost += too_long_for_jpeg(metadata) if kind is _JPEG else []
        notes += [f"the {name} {where}: left out" for name in lost]
    return notes


def _in_srgb(frame: np.ndarray, profile: bytes) -> np.ndarray:
    """A frame of 8 bits whose colours are those of a profile, in sRGB; as it is if the profile is damaged."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        picture = Image.fromarray(frame).convert("L" if profile[16:20] == b"GRAY" else "RGB")
        target = ImageCms.createProfile("sRGB")
        return np.asarray(ImageCms.profileToProfile(picture, source, target, outputMode="RGB"))
    except (OSError, ImageCms.PyCMSError):
        return frame


def _encoded(frame: np.ndarray, kind: _Format, metadata: Metadata) -> bytes:
    """An image file's content.

    Args:
        frame: picture (H, W, C) of a type that the format holds: grey, grey and alpha, RGB, or RGBA.
        kind: format.
        metadata: what is written beside the pixels; the profile fits to the channels.
    """
    if kind.name == "PNG":
        # OpenCV is many times faster, but has no grey with alpha.
        plain = _pillow_file(frame, "PNG") if frame.shape[2] == 2 else _opencv_file(".png", frame)
        return with_chunks(plain, metadata)
    if kind.name == "TIFF":
        if frame.dtype == np.uint16:
            plain = _opencv_file(".tif", frame)
        else:
            plain = _pillow_file(frame, "TIFF", compression="tiff_lzw")
        return with_tags(plain, metadata, alpha=frame.shape[2] in (2, 4))
    if kind.name == "JPEG":
        return _pillow_file(frame, "JPEG", **for_jpeg(metadata))
    if kind.name == "BMP":
        return _pillow_file(frame, "BMP")
    # `exact` keeps the colours under alpha 0. The default speeds take a minute for a large photo.
    options: dict[str, dict[str, Any]] = {
        "WEBP": {"lossless": True, "exact": True, "method": 2, "quality": 50},
        "AVIF": {"quality": 95, "subsampling": "4:4:4", "speed": 8},
        "HEIF": {"quality": 95, "enc_params": {"preset": "ultrafast"}},
    }
    beside = {"icc_profile": metadata.profile, "exif": metadata.exif, "xmp": metadata.xmp}
    given = {name: content for name, content in beside.items() if content}
    return _pillow_file(frame, kind.name, **options[kind.name], **given)


def _pillow_file(frame: np.ndarray, name: str, **options: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(frame.squeeze(2) if frame.shape[2] == 1 else frame).save(buffer, name, **options)
    return buffer.getvalue()


def _opencv_file(suffix: str, frame: np.ndarray) -> bytes:
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[frame.shape[2]]
    done, encoded = cv2.imencode(suffix, frame[..., order])
    if not done:
        raise OSError(f"a picture of {frame.shape[1]}x{frame.shape[0]} cannot be stored in {suffix}")
    return encoded.tobytes()


def _fits(profile: bytes, *, is_grey: bool) -> bool:
    """Whether a profile can describe pictures of so many channels; one of RGB in a grey file is ignored."""
    return profile[16:20] != b"GRAY" or is_grey
