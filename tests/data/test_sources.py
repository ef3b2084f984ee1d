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
    with pytest.raises(InputError, match=r"datasets\.mine\.source: no video matches"):
        fetch_dataset("mine", dataset(tmp_path), tmp_path)
    with pytest.raises(InputError, match=r"datasets\.mine\.source\.path: there is no folder"):
        fetch_dataset("mine", dataset(tmp_path / "absent"), tmp_path)
