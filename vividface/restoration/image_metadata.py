"""What an image file holds beside its pixels: colour profile, EXIF, XMP, resolution, how it was compressed.

EXIF is kept as the bytes that it was, with two values changed in place: a writer that builds it anew moves
the notes of camera makers, whose offsets then point to nothing.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

_ORIENTATION, _EXIF, _GPS, _XMP, _PROFILE = 0x0112, 0x8769, 0x8825, 0x02BC, 0x8773
# Of a TIFF file's tags those that describe the picture, and not how it is stored: description, make, model,
# software, date, artist, computer, copyright.
_DESCRIPTIVE = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298)
# Chunks of PNG that are copied: what the values mean as colours, the resolution, texts.
_COLOUR_CHUNKS = frozenset({b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI"})
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
# Behind the signature and the header.
_FIRST_CHUNK = 33
# Longer ones fit into no segment of JPEG, bytes.
_LONGEST_EXIF, _LONGEST_XMP = 65527, 65503
# Quantisation tables of a lower mean are as fine as those of quality 90.
_FINE = 12.0
_XMP_TURNED = re.compile(rb"(tiff:Orientation(?:=[\"']|>)\s*)[2-8]")
# PNG's gamma of sRGB and of BT.709, which is FFmpeg's, times 100000.
_USUAL_GAMMA = range(43000, 53000)
_PRIMARIES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_TRANSFERS = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class Metadata:
    """What an image file holds beside its pixels, for a result whose pixels are upright.

    Attributes:
        profile: ICC profile of the colours, or empty.
        exif: EXIF, from its byte order on, or empty; orientation and thumbnail are removed.
        xmp: XMP packet, or empty; the orientation is removed.
        dpi: resolution, dots per inch, or None.
        chunks: chunks of PNG that are copied to another PNG, names and contents.
        jpeg: Pillow's options that compress a JPEG as the source was, or finer.
        orientation: EXIF's number of how the stored pixels are turned; 1 is upright.
        damaged: whether there is EXIF that cannot be read.
    """

    profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    jpeg: dict[str, Any] = field(default_factory=dict)
    orientation: int = 1
    damaged: bool = False

    @property
    def colours(self) -> str:
        """What the values mean as colours where it is neither sRGB nor in the ICC profile; else empty."""
        chunks = dict(self.chunks)
        if self.profile:
            return ""
        if b"cICP" in chunks:
            primaries, transfer = chunks[b"cICP"][0], chunks[b"cICP"][1]
            names = [_PRIMARIES.get(primaries, ""), _TRANSFERS.get(transfer, "")]
            return " ".join(name for name in names if name)
        gamma = int.from_bytes(chunks.get(b"gAMA", b""), "big")
        if b"sRGB" not in chunks and gamma and gamma not in _USUAL_GAMMA:
            return f"gamma {gamma / 100000:.2f}"
        return ""


def metadata_of(image: Image.Image, data: bytes) -> Metadata:
    """The metadata of an image that Pillow opened, and need not have decoded.

    Args:
        image: opened image.
        data: content of its file.
    """
    info = image.info
    profile, xmp = info.get("icc_profile") or b"", info.get("xmp") or b""
    exif, chunks = info.get("exif") or b"", _nclx(data) if image.format in ("HEIF", "AVIF") else ()
    if isinstance(image, PngImagePlugin.PngImageFile):
        exif, xmp, chunks = _of_png(image, data)
    turned = 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        turned, exif = image.tag_v2.get(_ORIENTATION, 1), _of_tiff(image)
    orientation, exif, damaged = upright(exif.removeprefix(b"Exif\0\0"))
    dpi = info.get("dpi")
    return Metadata(
        profile=profile,
        exif=exif,
        xmp=_XMP_TURNED.sub(rb"\g<1>1", xmp if isinstance(xmp, bytes) else xmp.encode()),
        dpi=(float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None,
        chunks=chunks,
        jpeg=_compression(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else {},
        orientation=turned if turned in range(2, 9) else orientation,
        damaged=damaged,
    )


def upright(exif: bytes) -> tuple[int, bytes, bool]:
    """The orientation of EXIF, or of a TIFF file, and the same bytes without it.

    Args:
        exif: EXIF from its byte order on, or empty.

    Returns:
        orientation, 1 to 8; the bytes, upright and without a thumbnail, which would show the picture as it
        was, or empty where they cannot be read; whether they cannot.
    """
    if not exif:
        return 1, b"", False
    orientation, changed = 1, bytearray(exif)
    try:
        order = {b"II": "<", b"MM": ">"}[exif[:2]]
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        end = start + 2 + 12 * count
        for entry in range(start + 2, end, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == _ORIENTATION and kind == 3:
                (orientation,) = struct.unpack_from(f"{order}H", exif, entry + 8)
                struct.pack_into(f"{order}H", changed, entry + 8, 1)
        # Some writers leave out the pointer to a second directory.
        if end + 4 <= len(exif):
            struct.pack_into(f"{order}I", changed, end, 0)
    except (KeyError, struct.error):
        return 1, b"", True
    return orientation if orientation in range(1, 9) else 1, bytes(changed), False


def for_jpeg(metadata: Metadata) -> dict[str, Any]:
    """Pillow's options of a JPEG: the source's, but of quality 90 at least, or 95 where it was none."""
    options: dict[str, Any] = {"quality": 95, "subsampling": "4:4:4", **metadata.jpeg}
    if len(metadata.exif) <= _LONGEST_EXIF:
        options["exif"] = b"Exif\0\0" + metadata.exif if metadata.exif else b""
    if len(metadata.xmp) <= _LONGEST_XMP:
        options["xmp"] = metadata.xmp
    return options | {"icc_profile": metadata.profile, "dpi": metadata.dpi or (0, 0), "optimize": True}


def too_long_for_jpeg(metadata: Metadata) -> list[str]:
    """The names of what fits into no segment of JPEG."""
    names = {"EXIF data": len(metadata.exif) > _LONGEST_EXIF, "XMP data": len(metadata.xmp) > _LONGEST_XMP}
    return [name for name, is_long in names.items() if is_long]


def with_chunks(png: bytes, metadata: Metadata) -> bytes:
    """An encoded PNG, of any depth, with the metadata in its chunks."""
    chunks = list(metadata.chunks)
    if metadata.profile:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.profile)))
    if metadata.dpi:
        x, y = (round(value / 0.0254) for value in metadata.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", x, y, 1)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append((b"iTXt", _XMP_KEYWORD + bytes(4) + metadata.xmp))
    packed = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    return png[:_FIRST_CHUNK] + packed + png[_FIRST_CHUNK:]


def with_tags(tiff: bytes, metadata: Metadata, *, alpha: bool) -> bytes:
    """An encoded TIFF, of any depth, with the metadata in its tags: a new directory at its end.

    Args:
        tiff: encoded file of one picture.
        metadata: what is added.
        alpha: whether the last channel is alpha, not premultiplied.
    """
    tags = TiffImagePlugin.ImageFileDirectory_v2(tiff[:8])
    if metadata.exif:
        source = Image.Exif()
        source.load(metadata.exif)
        for tag in _DESCRIPTIVE:
            if tag in source:
                tags[tag] = source[tag]
        for tag in (_EXIF, _GPS):
            if nested := source.get_ifd(tag):
                tags[tag] = nested
    if metadata.xmp:
        tags.tagtype[_XMP] = 1
        tags[_XMP] = metadata.xmp
    if metadata.profile:
        tags.tagtype[_PROFILE] = 7
        tags[_PROFILE] = metadata.profile
    if metadata.dpi:
        tags[TiffImagePlugin.X_RESOLUTION], tags[TiffImagePlugin.Y_RESOLUTION] = metadata.dpi
        tags[TiffImagePlugin.RESOLUTION_UNIT] = 2
    if alpha:
        tags[TiffImagePlugin.EXTRASAMPLES] = 2
    order = "<" if tiff[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    old = [tiff[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    old = [entry for entry in old if struct.unpack_from(f"{order}H", entry)[0] not in tags]
    tiff += bytes(len(tiff) % 2)
    # What lies behind the directory comes as much later as the old entries take.
    new = tags.tobytes(len(tiff) + 12 * len(old))
    end = 2 + 12 * len(tags)
    entries = sorted(
        [*old, *(new[at : at + 12] for at in range(2, end, 12))],
        key=lambda entry: int(struct.unpack_from(f"{order}H", entry)[0]),
    )
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + new[end:]
    return tiff[:4] + struct.pack(f"{order}I", len(tiff)) + tiff[8:] + directory


def _of_png(image: Image.Image, data: bytes) -> tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]:
    """EXIF, XMP and the other chunks, which Pillow knows only after it decoded what lies before them."""
    exif, xmp, kept = b"", b"", []
    for name, content in _chunks(data):
        keyword = content.partition(b"\0")[0]
        if name == b"eXIf":
            exif = content
        elif name == b"iTXt" and content.startswith(_XMP_KEYWORD):
            compressed, text = content[len(_XMP_KEYWORD)], content[len(_XMP_KEYWORD) + 2 :]
            xmp = text.split(b"\0", 2)[-1]
            if compressed:
                with suppress(zlib.error):
                    xmp = zlib.decompress(xmp)
        elif name in _TEXT_CHUNKS and keyword.startswith(b"Raw profile type"):
            # ImageMagick's way before PNG had a chunk for EXIF; Pillow decodes it.
            image.load()
            exif = exif or image.getexif().tobytes()
        elif name in _COLOUR_CHUNKS | _TEXT_CHUNKS:
            kept.append((name, content))
    return exif, xmp, tuple(kept)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        yield name, png[at + 8 : at + 8 + length]
        at += length + 12


def _of_tiff(image: TiffImagePlugin.TiffImageFile) -> bytes:
    """EXIF of the descriptive tags; those of the pixels' storage are the file's own."""
    exif, tags = Image.Exif(), image.getexif()
    for tag in _DESCRIPTIVE:
        if tag in tags:
            exif[tag] = tags[tag]
    for tag in (_EXIF, _GPS):
        if directory := tags.get_ifd(tag):
            exif.get_ifd(tag).update(directory)
    return exif.tobytes() if len(exif) or exif.get_ifd(_EXIF) or exif.get_ifd(_GPS) else b""


def _compression(image: JpegImagePlugin.JpegImageFile) -> dict[str, Any]:
    """The source's quantisation tables if they are fine, its subsampling, and its comment."""
    options: dict[str, Any] = {"quality": 90, "progressive": bool(image.info.get("progressive"))}
    tables = image.quantization
    if tables and sum(tables[min(tables)]) / len(tables[min(tables)]) <= _FINE:
        options |= {"qtables": tables, "quality": -1}
    subsampling = JpegImagePlugin.get_sampling(image)
    if subsampling >= 0:
        options["subsampling"] = subsampling
    # IPTC, in the segment of Photoshop.
    segments = [content for name, content in image.applist if name == "APP13"]
    options["extra"] = b"".join(b"\xff\xed" + struct.pack(">H", len(s) + 2) + s for s in segments)
    if "comment" in image.info:
        options["comment"] = image.info["comment"]
    return options


def _nclx(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """What HEIF and AVIF say of wide gamuts and high dynamic range without an ICC profile, as PNG says it."""
    at = data.find(b"colrnclx")
    if at < 0 or at + 14 > len(data):
        return ()
    primaries, transfer = struct.unpack_from(">HH", data, at + 8)
    if primaries not in _PRIMARIES and transfer not in _TRANSFERS:
        return ()
    return ((b"cICP", bytes([primaries, transfer, 0, 1])),)
