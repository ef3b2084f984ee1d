"""The temporary folder, which is gone in the end, whatever the end is."""

import subprocess
import sys

from vividface.web.folders import temporary_folder

HOLD = """
import sys
from vividface.web.folders import temporary_folder
with temporary_folder() as folder:
    (folder / "film.mp4").write_text("a film")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_it_is_private_and_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_folder() as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "deep").mkdir()
        (folder / "deep" / "film.mp4").write_text("a film")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_server_left_is_removed_and_a_living_one_keeps_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, **options) as killed, subprocess.Popen(command, **options) as living:
        left, kept = killed.stdout.readline().strip(), living.stdout.readline().strip()
        killed.kill()
        killed.wait()
        (tmp_path / "vividface-web-link").symlink_to(tmp_path)
        with temporary_folder() as folder:
            there = {str(path) for path in tmp_path.iterdir()}
            assert there == {str(folder), kept, str(tmp_path / "vividface-web-link")}
            assert left not in there
        living.stdin.close()
        assert living.wait() == 0
