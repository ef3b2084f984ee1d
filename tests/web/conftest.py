"""Files that visitors give, and a server that runs as a process of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys

import pytest
from progress import wait_until

from vividface.video import ffmpeg_executable, read_clip, write_clip


@pytest.fixture(scope="session")
def clip(face_video, tmp_path_factory):
    """25 frames of a face, as a browser plays them."""
    path = tmp_path_factory.mktemp("given") / "Grandma & <i>Opa<i>.mp4"
    write_clip(path, read_clip(face_video, 18, 43), 25, codec="h264")
    return path


@pytest.fixture(scope="session")
def long_clip(clip, tmp_path_factory):
    """The same frames 40 times: more work than is done before somebody cancels it."""
    path = tmp_path_factory.mktemp("given") / "long.mp4"
    again = (*("-stream_loop", "39"), "-i", str(clip), *("-c", "copy"), str(path))
    subprocess.run([ffmpeg_executable(), "-v", "error", *again], check=True)
    return path


@pytest.fixture(scope="session")
def letter(tmp_path_factory):
    """A text that claims to be a video."""
    path = tmp_path_factory.mktemp("given") / "letter.mp4"
    path.write_text("Dear Grandma,\n" * 200)
    return path


# Writes down whom the server looks for or connects to, except itself.
WATCH = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[1][0] if event == "socket.connect" else arguments[0]
        if isinstance(arguments[1], (str, bytes)) and event == "socket.connect":
            return
        if str(host) not in ("127.0.0.1", "::1", "localhost", "None"):
            with open({path!r}, "a") as log:
                print(event, host, file=log)
sys.addaudithook(watch)
"""


class Server:
    """A running `vividface web`.

    Attributes:
        url: address of the page.
        temporary: folder in which it makes its own.
        outside: file with what it looked for on other machines; there is none if it did not.
    """

    def __init__(self, folder, *arguments):
        self.temporary, self.outside = folder / "tmp", folder / "outside.txt"
        self.temporary.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(WATCH.format(path=str(self.outside)))
        environment = os.environ | {
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, "-m", "vividface", "web", "--port", "0", "--model", "nano", *arguments]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.said)
        assert found, self.process.communicate()[1]
        self.url = found[0]

    def files(self):
        """What visitors' files are there, with a byte or more in them."""
        found = (path for path in self.temporary.rglob("*") if path.is_file())
        return sorted(path.name for path in found if path.stat().st_size)

    def left(self):
        """What there is of the server's own; torch leaves an empty folder beside it."""
        return list(self.temporary.glob("*vividface*")) + self.files()

    def wait_until(self, condition):
        """Wait until a function of these attributes is true."""
        wait_until(condition, self.process)

    def end(self, number=signal.SIGINT):
        """The exit status after a signal, and what was printed to standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate()
        return self.process.returncode, errors


@pytest.fixture
def serve(tmp_path):
    """`serve("--max-upload-mb", "1")` starts a server."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(running(Server(tmp_path, *arguments)))


@contextlib.contextmanager
def running(server):
    """A server, which is killed in the end if it has not ended by itself."""
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for several tests: to start one takes longer than most of what it is asked for."""
    with running(Server(tmp_path_factory.mktemp("server"), "--max-upload-mb", "1")) as server:
        yield server
