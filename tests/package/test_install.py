"""`make install` of a small project, from an index with a password: `make test-package`."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]
PASSWORD = "reader:secret"
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "small"
version = "1"
[tool.setuptools]
py-modules = []
"""


@pytest.fixture
def index(tmp_path):
    """An index of one package, `stub-package`, which asks for a password: its address, wheel, and readers."""
    wheel = tmp_path / "stub_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        info = "stub_package-1.0.dist-info"
        archive.writestr("stub_package.py", "value = 42")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: stub-package\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    password = "Basic " + base64.b64encode(PASSWORD.encode()).decode()
    readers = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.headers.get("Authorization") == password
            content = b""
            if known and self.path == "/simple/stub-package/":
                content = f'<a href="{wheel.name}">{wheel.name}</a>'.encode()
            elif known and self.path.endswith(wheel.name):
                content = wheel.read_bytes()
                readers.append(self.headers["User-Agent"].partition("/")[0])
            self.send_response(200 if content else 404 if known else 401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{PASSWORD}@127.0.0.1:{server.server_port}/simple", wheel, readers
    server.shutdown()
    server.server_close()


@pytest.fixture
def install(repository, index, tmp_path):
    """Run `make install`, and give its exit status, what it printed, and its Python."""
    address, wheel, _ = index
    project = tmp_path / "project"
    shutil.copytree(repository / "envs", project / "envs")
    shutil.copy(repository / "Makefile", project)
    (project / "pyproject.toml").write_text(PROJECT)
    lock = (repository / "requirements.lock").read_text()
    setuptools = re.search(r"^setuptools==.*\n(?:    --hash.*\n)+", lock, re.MULTILINE).group()
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (project / "requirements.lock").write_text(f"{setuptools}stub-package==1.0 --hash=sha256:{checksum}\n")
    given = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "UV_", "MFLAGS"))
    }
    given |= {"PIP_EXTRA_INDEX_URL": address, "UV_CACHE_DIR": str(tmp_path / "cache")}

    def run(*arguments, **variables) -> tuple[int, str, Path]:
        command = ["make", "--directory", str(project), f"PYTHON={sys.executable}", "install", *arguments]
        result = subprocess.run(command, env=given | variables, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr, project / ".venv/bin/python"

    run.project = project
    return run


def value_of(python: Path) -> str:
    """What the stub package and the project itself are, in an environment."""
    code = "import stub_package, importlib.metadata as m; print(stub_package.value, m.version('small'))"
    result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, cwd="/")
    return result.stdout.strip() or result.stderr.strip().splitlines()[-1]


def test_uv_installs_with_the_index_and_the_password_that_pip_is_given(install, index):
    status, said, python = install()
    assert status == 0, said
    assert value_of(python) == "42 1"
    assert index[2] == ["uv"], "pip took nothing"
    assert "secret" not in said
    compiled = python.parent.parent.glob("lib/*/site-packages/__pycache__/stub_package.*.pyc")
    assert list(compiled), "whoever may not write there would compile whenever Python starts"


def test_pip_installs_where_uv_cannot_be_had(install, index):
    (install.project / "envs/uv.txt").write_text(f"uv==0.0.0 --hash=sha256:{'0' * 64}\n")
    status, said, python = install()
    assert status == 0, said
    assert value_of(python) == "42 1"
    assert index[2] == ["pip"]


def test_pip_installs_where_uv_fails(install, index):
    status, said, python = install(UV_OFFLINE="1")
    assert status == 0, said
    assert value_of(python) == "42 1"
    assert index[2] == ["pip"]
    assert "uv could not install, as it says above: pip tries" in said


@pytest.mark.parametrize("uv", [True, False], ids=["uv", "pip"])
def test_a_package_that_the_lock_does_not_know_is_installed_by_neither(install, index, uv):
    with zipfile.ZipFile(index[1], "a") as archive:
        archive.writestr("more.py", "")
    if not uv:
        (install.project / "envs/uv.txt").write_text(f"uv==0.0.0 --hash=sha256:{'0' * 64}\n")
    status, said, python = install()
    assert status != 0
    assert re.search(r"hash(es)? mismatch|do not match the hashes", said, re.IGNORECASE), said
    assert value_of(python) == "ModuleNotFoundError: No module named 'stub_package'"
    assert not (install.project / ".venv/installed").exists()


def test_a_package_without_a_checksum_is_installed_by_neither(install):
    lock = install.project / "requirements.lock"
    lock.write_text(lock.read_text().partition("stub-package")[0] + "stub-package==1.0\n")
    status, said, python = install()
    assert status != 0, said
    assert value_of(python) == "ModuleNotFoundError: No module named 'stub_package'"


def test_another_build_of_torch_has_a_lock_of_its_own(install, index):
    lock = install.project / "requirements.lock"
    (install.project / "requirements-cpu.lock").write_text(lock.read_text())
    lock.write_text("unknown-package==1.0\n")
    os.utime(lock, (0, 0))
    status, said, python = install("TORCH=cpu")
    assert status == 0, said
    assert value_of(python) == "42 1"
    assert "UV_TORCH_BACKEND=cpu" in said


def test_a_lock_of_another_build_that_cannot_be_made_is_not_left_behind(install):
    status, said, _ = install("TORCH=unknown")
    assert status != 0
    assert "invalid value 'unknown' for '--torch-backend" in said
    assert not list(install.project.glob("requirements-*.lock"))
