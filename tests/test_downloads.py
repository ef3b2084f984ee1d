import hashlib
import itertools
import json
import signal
import subprocess
import sys
import threading

import pytest
from progress import wait_until

from vividface import downloads
from vividface.downloads import Download, Lock, content_length, fetch_file, fetch_files, part_of
from vividface.errors import InputError

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(file_server, monkeypatch):
    monkeypatch.setattr(downloads, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(downloads, "_CHUNK", 1000)
    file_server.files["/clips.zip"] = CONTENT
    return file_server


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were waited for; none is."""
    held = []
    monkeypatch.setattr(downloads.time, "sleep", held.append)
    return held


def download(server, folder, path="/clips.zip", sha256=SHA256):
    return Download(f"{server.url}{path}", folder / "clips.zip", sha256)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_alone(server, tmp_path, capsys):
    fetch_file(download(server, tmp_path))
    assert (tmp_path / "clips.zip").read_bytes() == CONTENT
    assert names(tmp_path) == ["clips.zip"]
    assert "clips.zip" in capsys.readouterr().err, "a progress bar"
    fetch_file(download(server, tmp_path))
    assert len(server.requests) == 1, "what is there is not fetched again"


def test_a_broken_connection_is_resumed_where_it_broke(server, tmp_path):
    server.faults["/clips.zip"] = ["break", "break", "break"]
    fetch_file(download(server, tmp_path))
    assert (tmp_path / "clips.zip").read_bytes() == CONTENT
    half, quarter = len(CONTENT) // 2, len(CONTENT) // 4
    ranges = [None, f"bytes={half}-", f"bytes={half + quarter}-", f"bytes={half + quarter + quarter // 2}-"]
    assert server.ranges("/clips.zip") == ranges


def test_a_later_run_goes_on_with_what_an_earlier_one_left(server, tmp_path, waits):
    server.faults["/clips.zip"] = ["break", *["stall"] * 5]
    with pytest.raises(InputError, match=r"clips\.zip: cannot be downloaded .*run again, it resumes"):
        fetch_file(download(server, tmp_path))
    assert names(tmp_path) == [".clips.zip.part", ".clips.zip.part.etag"]
    fetch_file(download(server, tmp_path))
    assert (tmp_path / "clips.zip").read_bytes() == CONTENT
    assert names(tmp_path) == ["clips.zip"]
    assert server.ranges("/clips.zip")[-1] == f"bytes={len(CONTENT) // 2}-"


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, tmp_path):
    server.faults["/clips.zip"] = ["break", "other"]
    fetch_file(download(server, tmp_path, sha256=hashlib.sha256(CONTENT[::-1]).hexdigest()))
    assert (tmp_path / "clips.zip").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("tags", [True, False])
def test_a_server_without_ranges_sends_everything_again(server, tmp_path, tags):
    server.tags = tags
    server.faults["/clips.zip"] = ["break", "whole"]
    fetch_file(download(server, tmp_path))
    assert (tmp_path / "clips.zip").read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(server, tmp_path):
    (tmp_path / ".clips.zip.part").write_bytes(CONTENT)
    (tmp_path / ".clips.zip.part.etag").write_text('"one"')
    fetch_file(download(server, tmp_path))
    assert names(tmp_path) == ["clips.zip"]
    assert server.ranges("/clips.zip") == [f"bytes={len(CONTENT)}-"]


def test_busy_servers_are_asked_again_when_they_say(server, tmp_path, waits):
    server.faults["/clips.zip"] = [(429, {"Retry-After": "7"}), 503, 500]
    fetch_file(download(server, tmp_path))
    assert (tmp_path / "clips.zip").read_bytes() == CONTENT
    assert waits[0] == 7
    assert len(waits) == 3


def test_redirects_are_followed(server, tmp_path):
    server.redirects["/old"] = "/clips.zip"
    fetch_file(download(server, tmp_path, "/old"))
    assert (tmp_path / "clips.zip").read_bytes() == CONTENT


def test_wrong_bytes_leave_nothing(server, tmp_path):
    server.faults["/clips.zip"] = ["wrong"]
    with pytest.raises(InputError, match=rf"clips\.zip: its sha256 is \w+, but {SHA256} is expected"):
        fetch_file(download(server, tmp_path))
    assert names(tmp_path) == []


@pytest.mark.parametrize(("path", "message"), [("/gone", "answers 404"), ("/clips.zip", "answers 403")])
def test_refusals_are_not_repeated(server, tmp_path, path, message):
    server.faults["/clips.zip"] = [403]
    with pytest.raises(InputError, match=message):
        fetch_file(download(server, tmp_path, path))
    assert len(server.requests) == 1
    assert names(tmp_path) == []


def test_no_server_at_all(server, tmp_path, waits):
    server.close()
    with pytest.raises(InputError, match=r"cannot be downloaded \(.*[Rr]efused"):
        fetch_file(download(server, tmp_path))
    assert len(waits) == 4


def test_offline_the_network_is_not_touched(server, tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    with pytest.raises(InputError, match=r"clips\.zip: is not here, and VIVIDFACE_OFFLINE=1 forbids"):
        fetch_file(download(server, tmp_path))
    (tmp_path / "clips.zip").write_bytes(CONTENT)
    fetch_file(download(server, tmp_path))
    assert server.requests == []


def test_the_first_use_is_recorded_and_demanded_after(server, tmp_path):
    lock = tmp_path / "locks" / "demo.json"
    fetch_file(download(server, tmp_path, sha256=None), Lock(lock))
    assert json.loads(lock.read_text()) == {f"{server.url}/clips.zip": SHA256}
    (tmp_path / "clips.zip").unlink()
    server.files["/clips.zip"] = CONTENT[::-1]
    with pytest.raises(
        InputError, match=r"when it was first fetched, but is .* remove its line from .*demo\.json"
    ):
        fetch_file(download(server, tmp_path, sha256=None), Lock(lock))
    assert not (tmp_path / "clips.zip").exists()
    lock.write_text("[]")
    with pytest.raises(InputError, match="is not a lock file"):
        Lock(lock)


def test_several_at_a_time_with_a_limit(server, tmp_path, monkeypatch):
    running, most, mutex = [0], [0], threading.Lock()
    numbers, three = itertools.count(), threading.Barrier(3)
    original = downloads._receive

    def counting(*arguments):
        with mutex:
            running[0] += 1
            most[0] = max(most[0], running[0])
            number = next(numbers)
        if number < 3:
            three.wait()
        original(*arguments)
        with mutex:
            running[0] -= 1

    monkeypatch.setattr(downloads, "_receive", counting)
    wanted = []
    for index in range(8):
        server.files[f"/{index}"] = CONTENT + bytes([index])
        wanted.append(Download(f"{server.url}/{index}", tmp_path / str(index)))
    fetch_files(wanted, max_parallel=3)
    assert [(tmp_path / str(index)).read_bytes()[-1] for index in range(8)] == list(range(8))
    assert most[0] == 3


def test_one_failure_among_many_is_the_one_that_is_reported(server, tmp_path):
    server.files["/good"] = CONTENT
    wanted = [Download(f"{server.url}/{name}", tmp_path / name) for name in ("good", "bad")]
    with pytest.raises(InputError, match="/bad: the server answers 404"):
        fetch_files(wanted, max_parallel=2)
    assert names(tmp_path) == ["good"]


_FETCH = """
import sys
from pathlib import Path
from vividface.downloads import Download, fetch_files
fetch_files([Download(sys.argv[1], Path(sys.argv[2]))])
"""


def test_who_interrupts_does_not_wait_for_the_rest(server, tmp_path):
    server.faults["/clips.zip"] = ["trickle"]
    path = tmp_path / "clips.zip"
    with subprocess.Popen([sys.executable, "-c", _FETCH, f"{server.url}/clips.zip", str(path)]) as process:
        wait_until(lambda: part_of(path).is_file() and part_of(path).stat().st_size, process)
        process.send_signal(signal.SIGINT)
        assert process.wait() != 0
    assert not path.exists()
    assert 0 < part_of(path).stat().st_size < len(CONTENT)
    fetch_file(download(server, tmp_path))
    assert path.read_bytes() == CONTENT


def test_a_full_disk_is_told_with_what_is_needed(server, tmp_path):
    (tmp_path / ".clips.zip.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match=rf"the disk of {tmp_path} is full, 1\.0 MB more are needed"):
        fetch_file(download(server, tmp_path))


def test_the_size_is_asked_without_a_download(server):
    assert content_length(f"{server.url}/clips.zip") == len(CONTENT)
    with pytest.raises(InputError, match=r"gone: cannot be reached \(404"):
        content_length(f"{server.url}/gone")
