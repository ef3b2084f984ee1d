"""Reading image files of any kind: pixels of 8 and 16 bits, alpha, and what lies beside them.

Pillow reads and writes: it knows all formats of cameras, phones and browsers (HEIC through pillow-heif),
palettes, animations, and the metadata, and says when a file is truncated. It has no pictures of 16 bits in
several channels: OpenCV reads and writes those of PNG and TIFF and reads those of AVIF, pillow-heif reads
those of HEIC. OpenCV also writes PNG of 8 bits, twenty times faster.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from vividface.errors import InputError
from vividface.restoration.image_metadata import Metadata, metadata_of, upright
from vividface.video import IMAGE_SUFFIXES

pillow_heif.register_heif_opener()
# What is damaged is told with the result.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# Pillow refuses pictures of more than twice this number of pixels; OpenCV refuses those of more than 2^30.
Image.MAX_IMAGE_PIXELS = 1 << 29

SUFFIXES = IMAGE_SUFFIXES | {".apng", ".avif", ".heic", ".heif", ".hif", ".jfif", ".jpe"}
# The first bytes of image files, and the brands of those that are made as MP4 is; others are sequences that
# FFmpeg reads as videos. TIFF's are not among them: raw photos begin so too, and hold but a preview.
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8")
_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1"})
# Formats whose pictures are frames; those of others are pages, previews, or gain maps.
_ANIMATED = frozenset({"AVIF", "GIF", "PNG", "WEBP"})
# Pillow's modes and those that their pixels are taken in; the ones with transparency get it from a colour.
_OPAQUE = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_WITH_ALPHA = {"LA": "LA", "La": "LA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}


@dataclass(frozen=True)
class Still:
    """A picture of an image file, upright.

    Attributes:
        pixels: colours (H, W, 3), RGB, uint8 or uint16; those under alpha 0 as they are stored.
        alpha: alpha (H, W) of the same type, or None.
        problem: reason why not all of it could be read, or empty.
        notes: sentences about what of the file cannot be kept.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """How an image file stores its picture.

    Attributes:
        metadata: what it holds beside the pixels.
        is_grey: whether it has one channel beside alpha.
    """

    metadata: Metadata
    is_grey: bool


def is_image(path: Path) -> bool:
    """Whether a file is an image or an animation by its content, whatever its name; else by its suffix."""
    with path.open("rb") as file:
        start = file.read(16)
    # A stream of JPEGs begins as one JPEG does.
    if path.suffix.lower() in (".mjpg", ".mjpeg"):
        return False
    return (
        start.startswith(_SIGNATURES)
        or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
        or (start[4:8] == b"ftyp" and start[8:12] in _BRANDS)
        or path.suffix.lower() in SUFFIXES
    )


def is_animation(path: Path) -> bool:
    """Whether an image file holds several frames that are shown one after the other.

    Raises:
        InputError: it is not a readable image.
    """
    with opened(path, path.read_bytes()) as image:
        return image.format in _ANIMATED and num_pictures(image) > 1


def num_pictures(image: Image.Image) -> int:
    """The number of pictures in an opened file, without the one that an APNG shows where it cannot move."""
    return int(getattr(image, "n_frames", 1)) - bool(getattr(image, "default_image", False))


@contextmanager
def opened(path: Path, data: bytes) -> Iterator[Image.Image]:
    """A file's content opened by Pillow; whatever fails within is an `InputError` that names the file."""
    try:
        with _identified(data) as image:
            yield image
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise InputError(f"{path}: has more than 2^30 pixels; shrink it, or cut it into pieces") from None
    except Exception as error:
        # Pillow's readers raise nearly anything where a file is damaged.
        text = " ".join(str(error).split())
        reason = "" if isinstance(error, UnidentifiedImageError) else f" ({text})"
        raise InputError(
            f"{path}: is not a readable image of 8 or 16 bits{reason}; is it an image, and whole?"
        ) from None


def _identified(data: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(data))
    except UnidentifiedImageError:
        # A profile or text that is damaged leaves the pixels readable.
        with _lenient():
            return Image.open(BytesIO(data))


def read_still(path: Path) -> Still:
    """Read an image file; of several pictures the first.

    Raises:
        InputError: it is not a readable image of 8 or 16 bits.
    """
    data = path.read_bytes()
    notes = []
    with opened(path, data) as image:
        count, space = num_pictures(image), image.mode
        if count > 1:
            notes.append(f"only the first of {count} pictures in a file is enhanced: the others are left out")
        metadata = metadata_of(image, data)
        if metadata.damaged:
            notes.append("the EXIF data is damaged: left out")
        if space == "CMYK":
            notes.append("the CMYK colours cannot be kept: they are RGB now")
        channels, problem = _channels(image, data, metadata)
    is_alpha = channels.shape[2] in (2, 4)
    colours = channels[..., : channels.shape[2] - is_alpha]
    pixels = np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:2], 3)))
    alpha = np.ascontiguousarray(channels[..., -1]) if is_alpha else None
    return Still(pixels, alpha, problem, tuple(notes))


def read_form(path: Path) -> Form:
    """Read how an image file stores its picture; the pixels are not decoded.

    Raises:
        InputError: it is not a readable image.
    """
    data = path.read_bytes()
    with opened(path, data) as image:
        metadata = metadata_of(image, data)
        # Inks are no colours of a result in RGB, and pixels converted by their profile are sRGB.
        if metadata.profile[16:20] == b"CMYK":
            metadata = replace(metadata, profile=b"")
        return Form(metadata, _is_grey(image, data))


def _channels(image: Image.Image, data: bytes, metadata: Metadata) -> tuple[np.ndarray, str]:
    """(H, W, 1 to 4), upright, and a problem or an empty string."""
    problem = ""
    try:
        image.load()
    except OSError:
        with _lenient():
            image = Image.open(BytesIO(data))
            image.load()
        problem = "is truncated or damaged"
    channels = _deep(image, data)
    orientation = metadata.orientation
    if channels is None:
        channels = np.asarray(_in_eight_bits(image, metadata.profile))
        # Of TIFF Pillow gives the pixels upright.
        orientation = 1 if image.format == "TIFF" else orientation
    if channels.ndim == 2:
        channels = channels[..., None]
    return _turned(channels, orientation), problem


def _deep(image: Image.Image, data: bytes) -> np.ndarray | None:
    """The channels of a picture of more than 8 bits, uint16, as they are stored; None for 8 bits."""
    if image.mode.startswith("I;16") and not image.has_transparency_data and image.format != "TIFF":
        return np.asarray(image).astype(np.uint16)
    bits, content = 16, data
    if image.format == "PNG" and data[24] == 16:
        pass
    elif image.format == "TIFF" and set(image.tag_v2.get(258, ())) == {16} and image.mode != "CMYK":  # type: ignore[attr-defined]
        # OpenCV fails where it has to turn one.
        content = upright(data)[1]
    elif image.format == "AVIF" and (bits := _bits_of_avif(data)) > 8:
        pass
    elif image.format == "HEIF" and (bits := int(image.info["bit_depth"])) > 8:
        file = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=False)
        return _stretched(np.asarray(file) >> (16 - bits), bits)
    else:
        return None
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    if pixels.ndim == 3 and _is_grey(image, data):
        pixels = np.delete(pixels, [1, 2], axis=2)
    return _stretched(pixels, bits)


def _stretched(values: np.ndarray, bits: int) -> np.ndarray:
    """Values of `bits` bits as ones of 16."""
    if bits == 16:
        return values
    return np.rint(values * (65535 / ((1 << bits) - 1))).astype(np.uint16)


def _bits_of_avif(data: bytes) -> int:
    """The depth of an AVIF file, from its codec's configuration."""
    at = data.find(b"av1C")
    if at < 0 or at + 7 > len(data) or not data[at + 6] & 0x40:
        return 8
    return 12 if data[at + 6] & 0x20 else 10


def _in_eight_bits(image: Image.Image, profile: bytes) -> Image.Image:
    """An image in one of the modes L, LA, RGB and RGBA."""
    if image.mode == "CMYK" and profile[16:20] == b"CMYK":
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except ImageCms.PyCMSError:
            converted = None
        if converted is not None:
            return converted
    if image.mode in _WITH_ALPHA:
        return image.convert(_WITH_ALPHA[image.mode])
    if image.mode not in _OPAQUE:
        raise ValueError(f"its pixels are {image.mode}")
    mode = _OPAQUE[image.mode]
    return image.convert(f"{mode}A" if image.has_transparency_data else mode)


def _is_grey(image: Image.Image, data: bytes) -> bool:
    # Of PNG of 16 bits Pillow's mode does not tell.
    if image.format == "PNG":
        return data[25] in (0, 4)
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16")


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels upright, by EXIF's number of their orientation."""
    if orientation in (2, 4, 5, 7):
        pixels = pixels[:, ::-1]
    quarters = {3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}.get(orientation, 0)
    return np.rot90(pixels, quarters)


@contextmanager
def _lenient() -> Iterator[None]:
    """Pillow decodes what is there of a truncated file."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
