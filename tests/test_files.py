import hashlib
from pathlib import Path

import pytest

from vividface.files import atomic_path, natural_order, resumable_folder, sha256, write_json


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


def test_a_folder_that_was_not_finished_is_given_again(tmp_path):
    target = tmp_path / "folder"
    with pytest.raises(ValueError, match="stopped"), resumable_folder(target) as temporary:
        (temporary / "a.txt").write_text("content")
        raise ValueError("stopped")
    assert not target.exists()
    target.mkdir()
    (target / "old.txt").touch()
    with resumable_folder(target) as temporary:
        assert (temporary / "a.txt").read_text() == "content"
    assert [path.name for path in target.iterdir()] == ["a.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_sha256_and_json(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": 2})
    text = (tmp_path / "a.json").read_bytes()
    assert text.index(b'"a"') < text.index(b'"b"')
    assert sha256(tmp_path / "a.json") == hashlib.sha256(text).hexdigest()


def test_natural_order_is_that_of_numbers():
    names = ["a10.png", "B1.png", "a2.png", "a02.png", "a.png", "7", "a2b10", "a2b9", "\u00b2.png"]
    ordered = [path.name for path in sorted(map(Path, names), key=natural_order)]
    assert ordered == ["7", "a.png", "a02.png", "a2.png", "a2b9", "a2b10", "a10.png", "B1.png", "\u00b2.png"]
