"""Safe extraction of archives of all kinds, hostile ones among them."""

import io
import tarfile
import zipfile

import pytest
import zstandard

from vividface.data.archives import is_archive, unpack
from vividface.errors import InputError

FILES = {"a/clip.mp4": b"first" * 1000, "b/deep/clip.mp4": b"second"}
LIMIT = 1 << 20


def make_zip(path, files=FILES, link=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")


def make_tar(path, files=FILES, special=None):
    buffer = io.BytesIO()
    mode = {"gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}.get(path.suffix[1:], "w")
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if special:
            archive.addfile(special)
    content = buffer.getvalue()
    path.write_bytes(zstandard.compress(content) if path.suffix == ".zst" else content)


def read(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.tar.zst"])
def test_every_kind_is_unpacked(name, tmp_path):
    archive = tmp_path / name
    assert is_archive(archive)
    (make_zip if name == "x.zip" else make_tar)(archive)
    unpack(archive, tmp_path / "out", max_bytes=LIMIT)
    assert read(tmp_path / "out") == FILES


def test_videos_are_no_archives():
    assert not is_archive("clip.mp4")
    assert is_archive("CLIPS.ZIP")


HOSTILE = [
    "../outside.mp4",
    "/outside.mp4",
    "a/../../outside.mp4",
    "a\\..\\..\\outside.mp4",
    "C:/outside.mp4",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_names_that_lead_outside_are_refused(name, make, tmp_path):
    archive = tmp_path / "inner" / ("x.zip" if make is make_zip else "x.tar")
    archive.parent.mkdir()
    make(archive, {"good.mp4": b"good", name: b"evil"})
    with pytest.raises(InputError, match="lies outside of its folder; do not trust this archive"):
        unpack(archive, archive.parent / "out", max_bytes=LIMIT)
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", archive.name]


def special(kind, target=""):
    info = tarfile.TarInfo("a/innocent.mp4")
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "member",
    [
        special(tarfile.SYMTYPE, "/etc/passwd"),
        special(tarfile.SYMTYPE, ".."),
        special(tarfile.LNKTYPE, "../../x"),
        special(tarfile.FIFOTYPE),
        special(tarfile.CHRTYPE),
    ],
)
@pytest.mark.parametrize("name", ["x.tar", "x.tar.zst"])
def test_links_and_devices_are_refused(member, name, tmp_path):
    make_tar(tmp_path / name, special=member)
    with pytest.raises(InputError, match=r"'a/innocent\.mp4' is a link or a device"):
        unpack(tmp_path / name, tmp_path / "out", max_bytes=LIMIT)
    assert not (tmp_path / "out").exists()


def test_links_in_zip_files_are_refused(tmp_path):
    make_zip(tmp_path / "x.zip", link="a/innocent.mp4")
    with pytest.raises(InputError, match=r"'a/innocent\.mp4' is a link"):
        unpack(tmp_path / "x.zip", tmp_path / "out", max_bytes=LIMIT)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar.zst"])
def test_bombs_are_stopped(name, tmp_path):
    (make_zip if name == "x.zip" else make_tar)(tmp_path / name, {"zeros": bytes(5_000_000)})
    assert (tmp_path / name).stat().st_size < 10_000
    with pytest.raises(InputError, match=r"holds more than 0\.001 GB; raise max_unpacked_gb"):
        unpack(tmp_path / name, tmp_path / "out", max_bytes=1_000_000)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.zst"])
def test_damaged_archives_leave_nothing(name, tmp_path):
    import random

    archive = tmp_path / name
    (make_zip if name == "x.zip" else make_tar)(archive, {"a": random.Random(0).randbytes(30_000)})
    archive.write_bytes(archive.read_bytes()[:20_000])
    with pytest.raises(InputError, match=r"is damaged|cannot be unpacked"):
        unpack(archive, tmp_path / "out", max_bytes=LIMIT)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.mp4", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.mp4", b"two")
    with pytest.raises(InputError, match=r"holds a\.mp4 twice"):
        unpack(tmp_path / "x.zip", tmp_path / "out", max_bytes=LIMIT)
