"""Bringing what a published method needs: code, environment, weights; and what stands in the way."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from evaluation.methods.stub import (
    PROGRAM,
    VERSION,
    describe,
    git,
    installation_of,
    make_repository,
    patch_of,
)

from vividface.downloads import Lock
from vividface.errors import InputError
from vividface.evaluation.methods.checkout import repository_address
from vividface.evaluation.methods.environment import conda_file
from vividface.files import sha256


@pytest.fixture
def stub(tmp_path):
    """`stub(**keys)`: the stub's installation, not made, with these keys of its description."""
    commit = make_repository(tmp_path / "code/owner/name", {"restore.py": PROGRAM, "weights/README": "text"})

    def make(**keys):
        values = describe(tmp_path / "code/owner/name", commit, "frames")
        return installation_of({**values, **keys}, tmp_path)

    return make


@pytest.fixture
def lock(tmp_path):
    return Lock(tmp_path / "lock.json")


def test_the_pinned_commit_is_checked_out_and_patched(stub, lock, tmp_path):
    repository = tmp_path / "code/owner/name"
    installation = stub(patches=[patch_of(PROGRAM.replace("1.5 s", "2.5 s"))])
    (repository / "restore.py").write_text("later")
    git(repository, "commit", "--quiet", "--all", "-m", "later")
    installation.fetch([], lock)
    assert (installation.source / "restore.py").read_text() == PROGRAM.replace("1.5 s", "2.5 s")
    assert stub().source != installation.source, "another patch is another checkout"


def test_a_patch_that_does_not_fit_is_named_and_nothing_is_left(stub, lock):
    patch = patch_of(PROGRAM.replace("1.5 s", "2.5 s"))
    installation = stub(patches=[patch | {"diff": patch["diff"].replace("1.5 s", "other")}])
    with pytest.raises(InputError, match=r"Stub: patch 1 \(The test wants it\.\) does not fit the commit"):
        installation.fetch([], lock)
    assert not installation.source.exists()


def test_a_commit_that_is_not_there_is_an_error(stub, lock):
    with pytest.raises(InputError, match=r"code of Stub: `git fetch .* ends with status 128"):
        stub(commit="0" * 40).fetch([], lock)


def test_a_mirror_stands_in_for_the_network(stub, lock, tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    installation = stub(repository="https://nowhere.invalid/owner/name")
    with pytest.raises(InputError, match=r"nowhere\.invalid/owner/name: is not here, and VIVIDFACE_OFFLINE"):
        installation.fetch([], lock)
    monkeypatch.setenv("VIVIDFACE_MIRROR", str(tmp_path / "code"))
    installation.fetch([], lock)
    assert (installation.source / "restore.py").read_text() == PROGRAM
    assert repository_address("git@host:other/name.git") == "git@host:other/name.git", "of no mirror"


def test_submodules_are_checked_out_where_the_method_has_them(stub, lock, tmp_path, monkeypatch):
    repository, part = tmp_path / "code/owner/name", tmp_path / "code/owner/part"
    make_repository(part, {"part.py": "1"})
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(part), "part")
    modules = (repository / ".gitmodules").read_text()
    (repository / ".gitmodules").write_text(modules.replace(str(part), "https://github.com/owner/part"))
    git(repository, "commit", "--quiet", "--all", "-m", "part")
    monkeypatch.setenv("VIVIDFACE_MIRROR", str(tmp_path / "code"))
    installation = stub(commit=git(repository, "rev-parse", "HEAD"), submodules=True)
    installation.fetch([], lock)
    assert (installation.source / "part/part.py").read_text() == "1"


def test_packages_go_into_the_methods_own_environment_which_is_taken_up_again(stub, lock, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    packages = ["--no-index", f"--find-links {wheels}", "stub-package==1.0"]
    setup = [["python", "-c", "open('made', 'w').write(str(__import__('stub_package').value))"]]
    installation = stub(environment={"python": VERSION, "packages": packages, "setup": setup})
    with pytest.raises(InputError, match=r"environment of Stub: .*stub-package"):
        installation.fetch([], lock)
    assert not installation.interpreter.is_complete
    with zipfile.ZipFile(wheels / "stub_package-1.0-py3-none-any.whl", "w") as wheel:
        info = "stub_package-1.0.dist-info"
        wheel.writestr("stub_package.py", "value = 42")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: stub-package\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    installation.fetch([], lock)
    assert "stub-package==1.0" in installation.interpreter.packages
    assert (installation.source / "made").read_text() == "42", "commands of the set-up run in the checkout"
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-c", "import stub_package"], check=True, capture_output=True)


def test_an_environment_that_is_made_already_is_taken(stub, lock, tmp_path):
    setup = [["python", "-c", "import sys; open('prefix', 'w').write(sys.prefix)"]]
    installation = stub(environment={"python": VERSION, "packages": [], "setup": setup})
    installation.fetch([], lock)
    for name in ("first", "second"):
        prefix = tmp_path / name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
        installation.interpreter.take(prefix)
        installation.fetch([], lock)
        assert installation.interpreter.is_complete
        assert (prefix / "packages.txt").read_text().startswith(f"python=={VERSION}.")
        assert Path((installation.source / "prefix").read_text()).resolve() == prefix.resolve()
    installation.fetch([], lock)
    assert installation.interpreter.folder.resolve() == prefix.resolve(), "and is kept"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"python": "3.99"}, r"needs Python 3\.99, which is not here; install uv"),
        ({"python": "3.9", "conda": ["dlib"]}, r"needs dlib of conda-forge; install micromamba or conda"),
    ],
)
def test_what_brings_a_missing_python_is_named(stub, lock, monkeypatch, tmp_path, environment, message):
    for program in ("git", "python3"):
        (tmp_path / "programs").mkdir(exist_ok=True)
        found = subprocess.run(["which", program], capture_output=True, text=True, check=True).stdout.strip()
        (tmp_path / f"programs/{program}").symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    with pytest.raises(InputError, match=message):
        stub(environment={"packages": [], **environment}).fetch([], lock)


def test_a_licence_has_to_be_accepted_first(stub, lock):
    licence = {"id": "s-lab-1.0", "title": "S-Lab", "page": "https://a.b/licence"}
    installation = stub(licences=[licence])
    with pytest.raises(InputError, match=r"s-lab-1\.0 \(S-Lab\) is not accepted; read https://a\.b/licence"):
        installation.fetch(["another"], lock)
    assert not installation.source.exists()
    installation.fetch(["s-lab-1.0"], lock)
    assert installation.missing(["s-lab-1.0"]) == []
    assert "not accepted" in installation.missing([])[0]


def test_weights_are_fetched_recorded_and_seen_in_the_checkout(stub, lock, file_server, tmp_path):
    file_server.files["/net.pth"] = b"weights"
    weights = {"kind": "url", "url": f"{file_server.url}/net.pth", "path": "weights/net.pth"}
    installation = stub(weights=[weights])
    assert "not fetched" in installation.missing([])[0]
    sums = installation.fetch([], lock)
    assert (installation.source / "weights/net.pth").read_bytes() == b"weights"
    assert (installation.source / "weights/README").read_text() == "text"
    assert json.loads((tmp_path / "lock.json").read_text()) == {weights["url"]: sums["weights/net.pth"]}
    file_server.files["/net.pth"] = b"changed"
    (installation.weights / "weights/net.pth").unlink()
    with pytest.raises(InputError, match=r"was .* when it was first fetched"):
        installation.fetch([], lock)


def test_a_folder_of_the_hub_is_seen_in_the_checkout(stub, lock, hub_server):
    commit = "c" * 40
    hub_server.serve_repository("a/b", {"model.bin": b"1", "README.md": b"2"}, commit=commit)
    weights = {"kind": "hub", "repo": "a/b", "patterns": ["*.bin"], "path": "weights"}
    installation = stub(weights=[weights])
    assert installation.fetch([], lock) == {"weights": commit}
    assert (installation.source / "weights/model.bin").read_bytes() == b"1"
    assert (installation.source / "weights/README").read_text() == "text", "the repository's own stays"


def test_a_file_that_no_program_can_fetch_is_asked_for(stub, lock, tmp_path):
    weights = {"kind": "hand", "page": "https://a.b/shared", "file": "net.ckpt", "path": "weights/net.ckpt"}
    installation = stub(weights=[weights])
    place = installation.weights / "weights/net.ckpt"
    with pytest.raises(InputError, match=r"needs net\.ckpt.*get it from https://a\.b/shared as .*net\.ckpt$"):
        installation.fetch([], lock)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"by hand")
    assert installation.fetch([], lock) == {"weights/net.ckpt": sha256(place)}
    wrong = stub(weights=[weights | {"sha256": "0" * 64}])
    with pytest.raises(InputError, match=r"its sha256 is .*; get it again from https://a\.b/shared"):
        wrong.fetch([], lock)


def test_the_environment_as_condas_file(stub):
    environment = {
        "python": "3.8",
        "packages": ["--find-links x", "torch==1.0"],
        "conda": ["dlib"],
        "variables": {"HOME": "{source}"},
    }
    text = conda_file(stub(environment=environment).method)
    assert yaml.safe_load(text) == {
        "channels": ["conda-forge", "nodefaults"],
        "dependencies": ["python=3.8", "pip", "dlib", {"pip": ["--find-links x", "torch==1.0"]}],
    }
    assert "# Its commands need HOME={source}.\n" in text
    assert text.startswith("# Stub")
