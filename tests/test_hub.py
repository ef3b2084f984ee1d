"""Downloading repositories of the Hub, from a local server in its place."""

import json

import pytest

from vividface import downloads
from vividface.config.filtering import QwenConfig
from vividface.config.model import ModelConfig
from vividface.downloads import Lock
from vividface.errors import InputError
from vividface.filtering.qwen import fetch_model
from vividface.hub import fetch_repository, fetched_commit
from vividface.models.pretrained import fetch_pretrained

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "picture.png": b"picture",
    "transformer/config.json": b"{}",
    "vae/config.json": b"{}",
}


@pytest.fixture
def hub(hub_server):
    """A Hub with the repository me/model."""
    hub_server.serve_repository("me/model", FILES, commit=COMMIT)
    return hub_server


def test_files_are_downloaded_once_at_a_recorded_commit(hub, tmp_path):
    lock, folder = Lock(tmp_path / "lock.json"), tmp_path / "model"
    assert fetched_commit(folder) is None
    files = fetch_repository("me/model", folder, lock, patterns=["*.json"])
    assert sorted(path.relative_to(folder).as_posix() for path in files) == [
        "config.json",
        "transformer/config.json",
        "vae/config.json",
    ]
    assert all(path.is_file() for path in files)
    assert not (folder / "model.safetensors").exists()
    assert fetched_commit(folder) == COMMIT
    assert json.loads((tmp_path / "lock.json").read_text()) == {"models/me/model@main": COMMIT}
    num_requests = len(hub.requests)
    assert fetch_repository("me/model", folder, lock, patterns=["*.json"]) == files
    assert len(hub.requests) == num_requests


def test_a_download_of_another_commit_is_repeated(hub, tmp_path):
    lock, folder = Lock(tmp_path / "lock.json"), tmp_path / "model"
    fetch_repository("me/model", folder, lock)
    (folder / ".complete").write_text("another")
    fetch_repository("me/model", folder, lock)
    assert fetched_commit(folder) == COMMIT


def test_patterns_that_match_no_file_are_refused(hub, tmp_path):
    with pytest.raises(InputError, match=r"repository me/model \(main\): has no files \*\.onnx at 0123"):
        fetch_repository("me/model", tmp_path / "model", Lock(tmp_path / "lock.json"), patterns=["*.onnx"])


def test_a_file_outside_of_the_folder_is_refused(hub_server, tmp_path):
    hub_server.serve_repository("me/model", {"../escaped.json": b"{}"}, commit=COMMIT)
    with pytest.raises(InputError, match=r"\.\./escaped\.json would be written outside of its folder"):
        fetch_repository("me/model", tmp_path / "model", Lock(tmp_path / "lock.json"))
    assert not (tmp_path / "escaped.json").exists()


def test_what_arrived_of_a_file_is_resumed_by_the_next_run(hub, tmp_path, monkeypatch):
    path = f"/me/model/resolve/{COMMIT}/model.safetensors"
    hub.faults[path] = ["break", *["stall"] * 5]
    monkeypatch.setattr(downloads, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(downloads, "_CHUNK", 1)
    lock, folder = Lock(tmp_path / "lock.json"), tmp_path / "model"
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be downloaded"):
        fetch_repository("me/model", folder, lock)
    fetch_repository("me/model", folder, lock)
    assert hub.ranges(path)[-1] == f"bytes={len(b'weights') // 2}-"
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_the_judges_model_is_downloaded(hub, tmp_path):
    frames = {"num_frames": 4, "max_pixels_per_frame": 4096}
    config = QwenConfig(repo="me/model", folder=tmp_path / "judge", dtype="fp32", batch_size=1, **frames)
    fetch_model(config, locks=tmp_path / "locks")
    assert (tmp_path / "judge" / "model.safetensors").read_bytes() == b"weights"
    assert not (tmp_path / "judge" / "picture.png").exists()
    assert (tmp_path / "locks" / "judge.json").is_file()


def test_the_pretrained_parts_are_downloaded(hub, tmp_path):
    folder = tmp_path / "wan"
    parts = {"transformer": folder / "transformer", "autoencoder": folder / "vae"}
    others = {"prompt_embedding": tmp_path / "prompt", "prediction": "wan", "timestep": 400}
    source = {"repo": "me/model", "folder": folder}
    config = ModelConfig(preset="wan-1.3b", pretrained=source, **parts, **others)
    assert fetch_pretrained(config, locks=tmp_path / "locks") == list(parts.values())
    assert all((part / "config.json").is_file() for part in parts.values())
    assert not (folder / "model.safetensors").exists()
    assert (tmp_path / "locks" / "pretrained.json").is_file()
    nano = ModelConfig(preset="nano", prediction="velocity", timestep=400)
    assert fetch_pretrained(nano, locks=tmp_path / "locks") == []
