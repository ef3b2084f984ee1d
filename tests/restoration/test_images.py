"""Image files of all kinds: their pixels, transparency, profile and metadata, before and after."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from vividface.config import EnhanceConfig
from vividface.errors import InputError
from vividface.restoration.enhance import enhance
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.opening import open_source

from .helpers import brighten, picture, run
from .test_enhance import Blinking

pillow_heif.register_heif_opener()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# A profile of a wider gamut, as far as anybody reads it: only its name differs.
WIDE = SRGB.replace(b"s\0R\0G\0B\0 \0b\0u\0i\0l\0t", b"W\0i\0d\0e\0 \0b\0u\0i\0l\0t")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6" dc:title="A face"/></x:xmpmeta>'


def keep(frames):
    return frames


def colours(dtype=np.uint8):
    return (picture(3) * (257 if dtype == np.uint16 else 1)).astype(dtype)


def exif_of(orientation=1, maker="Camera"):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, maker
    exif.get_ifd(0x8769)[0x829A] = 0.02
    exif.get_ifd(0x8825)[1] = "N"
    return exif


def png(pixels, colour_type, *chunks):
    """A PNG file of any channels and depth, with other chunks before its pixels."""

    def chunk(name, content):
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, pixels.itemsize * 8, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def raw(path):
    """Channels as they are stored, in the order RGBA."""
    with Image.open(path) as image:
        # Of 8 bits OpenCV multiplies TIFF's colours by alpha; of 16 Pillow knows only grey ones.
        if image.format == "TIFF" and set(image.tag_v2[258]) == {8}:
            return np.asarray(image)
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def with_holes(pixels):
    """Alpha with a transparent corner, whose hidden colours are glaring, and a soft edge."""
    peak = np.iinfo(pixels.dtype).max
    alpha = np.full(pixels.shape[:2], peak, pixels.dtype)
    alpha[:, 50:] = np.linspace(peak - 1, 1, 16).astype(pixels.dtype)
    alpha[:20, :20] = 0
    pixels = pixels.copy()
    pixels[:20, :20] = (peak, 0, peak)
    return np.dstack([pixels, alpha])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_and_hidden_colours_come_back_bit_for_bit(dtype, suffix, tmp_path):
    pixels = with_holes(colours(dtype))
    (tmp_path / "in.png").write_bytes(png(pixels, 6))
    result = run(tmp_path / "in.png", tmp_path / f"new{suffix}", keep)
    assert (result.notes, result.problem) == ([], "")
    np.testing.assert_array_equal(raw(tmp_path / f"new{suffix}"), pixels)
    run(tmp_path / f"new{suffix}", tmp_path / "again.png", keep)
    np.testing.assert_array_equal(raw(tmp_path / "again.png"), pixels)


def test_webp_keeps_alpha_and_hidden_colours(tmp_path):
    pixels = with_holes(colours())
    Image.fromarray(pixels).save(tmp_path / "in.webp", lossless=True, exact=True)
    run(tmp_path / "in.webp", tmp_path / "new.webp", keep)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new.webp")), pixels)


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_formats_of_phones_are_read_and_written_with_alpha(suffix, tmp_path):
    pixels = with_holes(colours())
    Image.fromarray(pixels).save(tmp_path / f"in{suffix}", quality=95)
    result = run(tmp_path / f"in{suffix}", tmp_path / f"new{suffix}", keep)
    assert result.notes == []
    with Image.open(tmp_path / f"in{suffix}") as before, Image.open(tmp_path / f"new{suffix}") as after:
        change = np.asarray(after).astype(int) - np.asarray(before)
    visible = pixels[..., 3] > 0
    assert np.abs(change[visible]).mean() < 2
    assert np.abs(change[..., 3]).max() <= 6


def test_hidden_colours_are_not_shown_to_the_model_and_do_not_bleed(tmp_path):
    pixels = with_holes(colours())
    Image.fromarray(pixels).save(tmp_path / "in.png")
    shown = []

    def blur(frames):
        shown.append(frames)
        return np.stack([cv2.GaussianBlur(frame, (0, 0), 4) for frame in frames])

    run(tmp_path / "in.png", tmp_path / "new.png", blur)
    new = raw(tmp_path / "new.png")
    # What is visible has no more blue than this.
    assert shown[0][..., 2].max() <= 90
    assert new[:, :, 2][pixels[..., 3] > 0].max() <= 90
    np.testing.assert_array_equal(new[:20, :20], pixels[:20, :20])
    run(tmp_path / "in.png", tmp_path / "large.png", keep, config=EnhanceConfig(window=9, overlap=2, scale=2))
    large = raw(tmp_path / "large.png")
    assert large.shape == (100, 132, 4)
    assert large[..., 2][large[..., 3] > 0].max() < 100


@pytest.mark.parametrize("mode", ["LA", "P", "RGB", "L"])
def test_every_way_to_store_transparency_is_understood(mode, tmp_path):
    grey = colours()[..., 0]
    if mode == "LA":
        alpha = np.where(grey < 90, 0, 255).astype(np.uint8)
        Image.fromarray(np.dstack([grey, alpha])).save(tmp_path / "in.png")
    else:
        # One colour, or an entry of the palette, is transparent.
        image = Image.fromarray(colours())
        image = image.quantize(16) if mode == "P" else image.convert(mode)
        key = image.getpixel((0, 0))
        image.save(tmp_path / "in.png", transparency=key)
    with Image.open(tmp_path / "in.png") as image:
        assert image.mode == mode
        before = np.asarray(image.convert("RGBA"))
    assert 0 < (before[..., 3] == 0).sum() < before[..., 3].size
    run(tmp_path / "in.png", tmp_path / "new.png", keep)
    with Image.open(tmp_path / "new.png") as image:
        assert image.mode == ("LA" if mode in ("L", "LA") else "RGBA")
        np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), before)


def test_grey_with_alpha_of_16_bits_is_kept(tmp_path):
    pixels = colours(np.uint16)[..., 0]
    alpha = with_holes(colours(np.uint16))[..., 3]
    (tmp_path / "in.png").write_bytes(png(np.dstack([pixels, alpha]), 4))
    run(tmp_path / "in.png", tmp_path / "new.png", keep)
    np.testing.assert_array_equal(raw(tmp_path / "new.png"), np.dstack([pixels, pixels, pixels, alpha]))


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".mp4"])
def test_formats_without_alpha_show_white_and_say_so(suffix, tmp_path):
    pixels = with_holes(colours())
    Image.fromarray(pixels).save(tmp_path / "in.png")
    result = run(tmp_path / "in.png", tmp_path / f"new{suffix}", keep, compare=tmp_path / "both.png")
    assert result.notes == [f"the transparency cannot be stored in {suffix[1:]}: it is white now"]
    capture = cv2.VideoCapture(str(tmp_path / "new.mp4"))
    new = capture.read()[1] if suffix == ".mp4" else cv2.imread(str(tmp_path / f"new{suffix}"))
    assert new[:14, :14].min() > 250
    assert np.abs(new[25:, :48, ::-1].astype(int) - pixels[25:, :48, :3]).mean() < 3
    both = cv2.imread(str(tmp_path / "both.png"))
    assert both[80, 60].min() == both[80, 60 + both.shape[1] // 2].min() == 255
    opaque = pixels.copy()
    opaque[..., 3] = 255
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    assert run(tmp_path / "opaque.png", tmp_path / f"opaque_new{suffix}", keep).notes == []


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".avif", ".heic"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_profile_exif_and_xmp_are_carried_over_and_the_picture_is_turned_once(orientation, suffix, tmp_path):
    """From a photo to every format: seen by a program that heeds EXIF, nothing has changed."""
    Image.fromarray(colours()).save(
        tmp_path / "in.jpg",
        quality=95,
        subsampling=0,
        exif=exif_of(orientation),
        icc_profile=WIDE,
        xmp=XMP,
        dpi=(300, 300),
    )
    result = run(tmp_path / "in.jpg", tmp_path / f"new{suffix}", keep)
    assert result.notes == []
    shown = cv2.imread(str(tmp_path / "in.jpg"))[..., ::-1]
    with Image.open(tmp_path / f"new{suffix}") as image:
        image.load()
        exif = image.getexif()
        assert exif.get(0x0112, 1) == 1
        assert exif[0x010F] == "Camera"
        assert exif.get_ifd(0x8769)[0x829A] == pytest.approx(0.02)
        assert exif.get_ifd(0x8825)[1] == "N"
        assert image.info["icc_profile"] == WIDE
        assert image.info["xmp"] == XMP.replace(b'"6"', b'"1"')
        if suffix in (".png", ".jpg", ".tif"):
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert np.asarray(image).shape == shown.shape
        difference = np.abs(np.asarray(image).astype(int) - shown)
    assert difference.max() <= (0 if suffix in (".png", ".tif", ".webp") else 40)
    assert difference.mean() < 3


@pytest.mark.parametrize("source", ["png", "tif", "webp", "avif", "heic"])
def test_metadata_of_every_format_is_read(source, tmp_path):
    given = {"exif": exif_of(6), "icc_profile": WIDE}
    if source == "tif":
        # Pillow's writer turns no TIFF.
        given = {"icc_profile": WIDE, "tiffinfo": {0x0112: 6, 0x010F: "Camera", 700: XMP}}
    elif source in ("webp", "avif", "heic"):
        given["xmp"] = XMP
    Image.fromarray(colours()).save(tmp_path / f"in.{source}", **given)
    run(tmp_path / f"in.{source}", tmp_path / "new.png", keep)
    with Image.open(tmp_path / "new.png") as image:
        assert image.size == (50, 66)
        image.load()
        assert (image.info["icc_profile"], image.getexif()[0x010F]) == (WIDE, "Camera")
        assert 0x0112 not in image.getexif() or image.getexif()[0x0112] == 1
        if source != "png":
            assert b"A face" in image.info["xmp"]
            assert b'Orientation="6"' not in image.info["xmp"]
        shown = np.rot90(colours(), -1).astype(int)
        assert np.abs(np.asarray(image) - shown).mean() < 5


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_picture_of_16_bits_keeps_profile_exif_and_values(suffix, tmp_path):
    pixels = colours(np.uint16)
    pixels[..., 2] = np.arange(pixels[..., 2].size).reshape(pixels.shape[:2])
    exif = exif_of(8).tobytes().removeprefix(b"Exif\0\0")
    profile = b"name\0\0" + zlib.compress(WIDE)
    (tmp_path / "in.png").write_bytes(png(pixels, 2, (b"iCCP", profile), (b"eXIf", exif)))
    result = run(tmp_path / "in.png", tmp_path / f"new{suffix}", keep)
    assert result.notes == []
    np.testing.assert_array_equal(raw(tmp_path / f"new{suffix}"), np.rot90(pixels, 1))
    with Image.open(tmp_path / f"new{suffix}") as image:
        assert image.info["icc_profile"] == WIDE
        assert image.getexif()[0x010F] == "Camera"
        assert image.getexif().get(0x0112, 1) == 1
    result = run(tmp_path / f"new{suffix}", tmp_path / "new.jpg", keep)
    assert result.notes == ["the depth of more than 8 bits cannot be stored in jpg: there are 8 now"]


def test_a_tiff_of_16_bits_that_is_turned_is_turned_once(tmp_path):
    pixels = colours(np.uint16)
    cv2.imwrite(str(tmp_path / "plain.tif"), pixels[..., ::-1])
    data = (tmp_path / "plain.tif").read_bytes()
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [data[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    entries.append(struct.pack("<HHII", 0x0112, 3, 1, 6))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    directory = struct.pack("<H", count + 1) + b"".join(entries) + bytes(4)
    (tmp_path / "in.tif").write_bytes(data[:4] + struct.pack("<I", len(data)) + data[8:] + directory)
    run(tmp_path / "in.tif", tmp_path / "new.tif", keep)
    np.testing.assert_array_equal(raw(tmp_path / "new.tif"), np.rot90(pixels, -1))


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_more_than_8_bits_of_a_phone_are_read(suffix, tmp_path):
    ramp = np.linspace(0, 1, 64 * 64 * 3).reshape(64, 64, 3)
    if suffix == ".heic":
        data = (ramp * 65535).astype(np.uint16)
        pillow_heif.from_bytes(mode="RGB;16", size=(64, 64), data=data.tobytes()).save(
            tmp_path / "in.heic", quality=98
        )
    else:
        cv2.imwrite(
            str(tmp_path / "in.avif"),
            (ramp[..., ::-1] * 1023).astype(np.uint16),
            [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 98],
        )
    run(tmp_path / f"in{suffix}", tmp_path / "new.png", keep)
    new = raw(tmp_path / "new.png")
    assert new.dtype == np.uint16
    assert np.abs(new / 65535 - ramp).mean() < 0.01
    assert new.max() > 64800
    assert len(np.unique(new)) > 500


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_grey_stays_one_channel_and_neutral(dtype, suffix, tmp_path):
    grey = colours(dtype)[..., 0]
    cv2.imwrite(str(tmp_path / "in.png"), grey)

    def tint(frames):
        peak = np.iinfo(frames.dtype).max
        frames = frames.astype(np.int64)
        frames[:, 20:, 20:, 0] += peak // 12
        return frames.clip(0, peak).astype(dtype)

    run(tmp_path / "in.png", tmp_path / f"new{suffix}", tint)
    new = raw(tmp_path / f"new{suffix}")
    assert new.shape == grey.shape
    if suffix != ".jpg":
        assert new.dtype == dtype
        np.testing.assert_array_equal(new[:20], grey[:20])
    assert np.abs(new[:20, :15].astype(int) - grey[:20, :15] / (1 if new.dtype == dtype else 257)).mean() < 2


def test_inks_become_rgb_by_their_values_or_their_profile(tmp_path):
    image = Image.fromarray(colours()).convert("CMYK")
    image.save(tmp_path / "in.jpg", quality=95, subsampling=0)
    result = run(tmp_path / "in.jpg", tmp_path / "new.png", keep)
    assert result.notes == ["the CMYK colours cannot be kept: they are RGB now"]
    assert np.abs(raw(tmp_path / "new.png").astype(int) - colours()).mean() < 4
    # One that nobody can convert by, and that describes no RGB.
    broken = SRGB[:16] + b"CMYK" + SRGB[20:]
    image.save(tmp_path / "profiled.jpg", quality=95, subsampling=0, icc_profile=broken)
    run(tmp_path / "profiled.jpg", tmp_path / "other.png", keep)
    assert np.abs(raw(tmp_path / "other.png").astype(int) - colours()).mean() < 4
    assert "icc_profile" not in Image.open(tmp_path / "other.png").info


def test_what_png_says_of_its_colours_and_its_texts_stay(tmp_path):
    chunks = [(b"gAMA", struct.pack(">I", 100000)), (b"tEXt", b"Title\0A face")]
    (tmp_path / "in.png").write_bytes(png(colours(), 2, *chunks))
    assert run(tmp_path / "in.png", tmp_path / "new.png", keep).notes == []
    with Image.open(tmp_path / "new.png") as image:
        assert (image.info["gamma"], image.info["Title"]) == (1.0, "A face")
    result = run(tmp_path / "in.png", tmp_path / "new.jpg", keep)
    assert result.notes == ["the colours' tag (gamma 1.00) cannot be stored in jpg: left out"]


def test_a_profile_that_cannot_be_stored_is_applied_and_told(tmp_path):
    pixels = colours()
    Image.fromarray(pixels).save(tmp_path / "in.png", icc_profile=SRGB, exif=exif_of())
    result = run(tmp_path / "in.png", tmp_path / "new.bmp", keep)
    assert result.notes == [
        "the colour profile cannot be stored in bmp: the colours are sRGB now",
        "the EXIF data cannot be stored in bmp: left out",
    ]
    assert np.abs(raw(tmp_path / "new.bmp").astype(int) - pixels).max() <= 1
    result = run(tmp_path / "in.png", tmp_path / "new.mp4", keep)
    assert result.notes == ["the colour profile cannot be stored in mp4: left out"]


@pytest.mark.parametrize("quality", [30, 75, 98])
def test_a_jpeg_is_compressed_as_its_source_or_less(quality, tmp_path):
    noise = np.random.default_rng(0).normal(0, 12, (*colours().shape[:2], 1))
    image = Image.fromarray((colours() + noise).clip(0, 255).astype(np.uint8))
    image.save(tmp_path / "in.jpg", quality=quality, subsampling="4:4:4", progressive=True)
    run(tmp_path / "in.jpg", tmp_path / "new.jpg", keep)
    with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "new.jpg") as after:
        assert after.info["progressive"]
        assert after.layer[0][1:3] == (1, 1), "4:4:4"
        assert sum(after.quantization[0]) <= sum(before.quantization[0])
        if quality == 98:
            assert after.quantization == before.quantization
        change = np.abs(np.asarray(after).astype(int) - np.asarray(before))
    assert change.mean() < 2


def test_what_is_no_face_is_untouched_bit_for_bit(tmp_path):
    for dtype, colour_type in ((np.uint8, 6), (np.uint16, 6), (np.uint8, 2), (np.uint16, 2)):
        pixels = colours(dtype)
        stored = with_holes(pixels) if colour_type == 6 else pixels
        (tmp_path / "in.png").write_bytes(png(stored, colour_type))
        restorer = FaceRestorer(
            restore=brighten, size=32, clip_frames=9, backend=Blinking(()), fingerprint={"faces": "one"}
        )
        for suffix in (".png", ".tif"):
            enhance(
                open_source(tmp_path / "in.png"),
                tmp_path / f"new{suffix}",
                restorer=restorer,
                config=EnhanceConfig(window=9, overlap=2, min_face=8, margin=0.1),
                overwrite=True,
            )
            change = raw(tmp_path / f"new{suffix}").astype(int) - stored
            assert change[23, 33, 0] > np.iinfo(dtype).max // 14
            outside = np.ones(change.shape[:2], bool)
            outside[4:42, 14:52] = False
            assert not change[outside].any()
            assert colour_type == 2 or not change[..., 3].any()


def test_a_name_tells_less_than_the_content(tmp_path):
    Image.fromarray(colours()).save(tmp_path / "in.png")
    (tmp_path / "in.png").rename(tmp_path / "wrong.jpg")
    (tmp_path / "photo").write_bytes((tmp_path / "wrong.jpg").read_bytes())
    Image.fromarray(colours()).save(tmp_path / "LOUD.JPEG")
    for index, name in enumerate(["wrong.jpg", "photo", "LOUD.JPEG"]):
        assert run(tmp_path / name, tmp_path / f"new{index}.PNG", keep).num_frames == 1
        assert np.abs(raw(tmp_path / f"new{index}.PNG").astype(int) - colours()).mean() < 4
    with pytest.raises(InputError, match=r"new\.gif: unsupported format; use \.avif, .*\.png.*\.mp4"):
        run(tmp_path / "photo", tmp_path / "new.gif", keep)


@pytest.mark.parametrize(
    "content", [b"some text\n", b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"]
)
@pytest.mark.parametrize("suffix", [".png", ".heic", ".jpg"])
def test_what_is_no_image_is_told_in_a_line(content, suffix, tmp_path):
    path = tmp_path / f"in{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"in{suffix}: is not a readable image of 8 or 16 bits") as caught:
        run(path, tmp_path / "new.png", keep)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new.png").exists()


def truncated(folder, source):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / f"whole.{source}")
    data = (folder / f"whole.{source}").read_bytes()
    (folder / f"in.{source}").write_bytes(data[: len(data) * 2 // 3])
    return folder / f"in.{source}"


@pytest.mark.parametrize("source", ["jpg", "png", "bmp", "tif"])
def test_of_a_truncated_image_what_can_be_read_is_enhanced(source, tmp_path):
    result = run(truncated(tmp_path, source), tmp_path / "new.png", keep)
    assert result.problem == "is truncated or damaged"
    with Image.open(tmp_path / f"whole.{source}") as image:
        part = slice(-60, None) if source == "bmp" else slice(60)
        np.testing.assert_array_equal(raw(tmp_path / "new.png")[part], np.asarray(image)[part])


@pytest.mark.parametrize("source", ["webp", "avif", "heic"])
def test_a_truncated_image_that_is_read_as_a_whole_is_refused(source, tmp_path):
    with pytest.raises(InputError, match="is not a readable image") as caught:
        run(truncated(tmp_path, source), tmp_path / "new.png", keep)
    assert "\n" not in str(caught.value)


def test_damaged_metadata_does_not_stop_an_image(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(colours()).save(buffer, "JPEG", exif=exif_of(6))
    data = buffer.getvalue()
    at = data.index(b"Exif\0\0") + 6
    for index, wrong in enumerate([b"XX", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"]):
        (tmp_path / "in.jpg").write_bytes(data[:at] + wrong + data[at + len(wrong) :])
        result = run(tmp_path / "in.jpg", tmp_path / f"new{index}.jpg", keep)
        assert result.notes == ["the EXIF data is damaged: left out"]
        assert Image.open(tmp_path / f"new{index}.jpg").size == (66, 50)
    text = b"XML:com.adobe.xmp\0\1\0\0\0not compressed"
    (tmp_path / "in.png").write_bytes(png(colours(), 2, (b"iTXt", text), (b"iCCP", b"name\0\0broken")))
    run(tmp_path / "in.png", tmp_path / "new.png", keep)
    np.testing.assert_array_equal(raw(tmp_path / "new.png"), colours())


def test_the_thumbnail_of_before_is_gone(tmp_path):
    camera = struct.pack("<HHHI4sI", 1, 0x010F, 2, 4, b"Cam\0", 26)
    thumbnail = struct.pack("<HHHIHHI", 1, 0x0103, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + camera + thumbnail
    Image.fromarray(colours()).save(tmp_path / "in.jpg", exif=exif)
    run(tmp_path / "in.jpg", tmp_path / "new.jpg", keep)
    for name, second in (("in.jpg", 26), ("new.jpg", 0)):
        with Image.open(tmp_path / name) as image:
            assert image.getexif()[0x010F] == "Cam"
            assert struct.unpack_from("<I", image.info["exif"], 6 + 22) == (second,)


def test_the_first_page_is_enhanced_and_the_others_are_told(tmp_path):
    pages = [Image.fromarray(colours()), Image.new("RGB", (20, 20)), Image.new("RGB", (20, 20))]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    result = run(tmp_path / "in.tif", tmp_path / "new.tif", keep)
    assert result.notes == ["only the first of 3 pictures in a file is enhanced: the others are left out"]
    np.testing.assert_array_equal(raw(tmp_path / "new.tif"), colours())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".heic", ".avif", ".mp4"])
def test_a_single_pixel_and_a_long_line(suffix, tmp_path):
    for index, size in enumerate([(1, 1), (3000, 2)]):
        Image.new("RGB", size, (90, 120, 150)).save(tmp_path / "in.png")
        if suffix == ".mp4" and size == (1, 1):
            continue
        output = tmp_path / f"new{index}{suffix}"
        run(tmp_path / "in.png", output, keep)
        if suffix != ".mp4":
            with Image.open(output) as image:
                assert image.size == size


def test_an_image_is_written_in_the_form_it_had_after_a_kill(tmp_path):
    """Twice the same command gives the same bytes."""
    Image.fromarray(with_holes(colours())).save(tmp_path / "in.png", icc_profile=WIDE, exif=exif_of(3))
    for suffix in (".png", ".jpg", ".tif", ".webp", ".avif"):
        outputs = [tmp_path / f"{index}{suffix}" for index in range(2)]
        for output in outputs:
            run(tmp_path / "in.png", output, keep)
        assert Path(outputs[0]).read_bytes() == outputs[1].read_bytes()
