import hashlib

import pytest

from vividface.files import atomic_path, sha256, write_json


def test_appears_whole(tmp_path):
    target = tmp_path / "folder" / "a.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("content")
        assert not target.exists()
        assert temporary.suffix == ".txt"
    assert target.read_text() == "content"


def test_failure_leaves_nothing_and_keeps_the_old(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


def test_folder_is_replaced(tmp_path):
    target = tmp_path / "folder"
    (target / "old").mkdir(parents=True)
    with atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]


def test_sha256_and_json(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": 2})
    text = (tmp_path / "a.json").read_bytes()
    assert text.index(b'"a"') < text.index(b'"b"')
    assert sha256(tmp_path / "a.json") == hashlib.sha256(text).hexdigest()
