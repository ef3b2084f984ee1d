"""Weights of others: git never takes them, DVC does on request."""

import shutil
import subprocess
import sys

import pytest

from vividface.cli.main import main

pytestmark = pytest.mark.workflow

MODEL = "weights/vividface-1.3b"


def run(*command, folder):
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def commit(folder):
    run("git", "add", "--all", folder=folder)
    user = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    run("git", *user, "commit", "--quiet", "--message", "weights", folder=folder)
    return run("git", "ls-files", "weights", folder=folder).split()


def use_remote(folder, url):
    command = (sys.executable, "-m", "dvc", "remote", "modify", "--local", "local", "url", str(url))
    run(*command, folder=folder)


@pytest.fixture
def project(repository, tmp_path, monkeypatch):
    """A repository with the project's settings of git and DVC, and a remote."""
    folder = tmp_path / "project"
    for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", "dvc.yaml", "config.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, folder / name)
    run("git", "init", "--quiet", folder=folder)
    use_remote(folder, tmp_path / "remote")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc"))
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(folder)
    return folder


def write_model(folder):
    (folder / "transformer").mkdir(parents=True)
    (folder / "transformer" / "model.safetensors").write_bytes(b"weights")
    (folder / "model_index.json").write_text("{}")


@pytest.mark.parametrize("place", ["cache", "working directory"])
def test_a_fetched_model_is_published_alone_and_pulled(place, project, tmp_path, monkeypatch, capsys):
    write_model(tmp_path / "cache/models/vividface-1.3b" if place == "cache" else project / MODEL)
    assert commit(project) == [], "git takes no weights, whatever is added"
    assert main(["publish", "--weights", "vividface-1.3b"]) == 0
    assert f"now: git add {MODEL}.dvc && git commit" in capsys.readouterr().out
    assert commit(project) == [f"{MODEL}.dvc"]
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", str(project), str(clone), folder=tmp_path)
    use_remote(clone, tmp_path / "remote")
    monkeypatch.chdir(clone)
    assert main(["pull", MODEL]) == 0
    assert (clone / MODEL / "transformer/model.safetensors").read_bytes() == b"weights"
    assert commit_is_clean(clone)
    assert main(["pull"]) == 1
    assert "holds no milestone" in capsys.readouterr().err


def commit_is_clean(folder):
    return run("git", "status", "--short", folder=folder) == ""


def test_what_is_not_there_is_named(project, capsys):
    assert main(["publish", "--weights", "vividface-1.3b"]) == 1
    error = capsys.readouterr().err
    assert f"there is no folder {MODEL}, and no such model in the cache; `vividface weights fetch" in error
    assert main(["publish", "--weights", ".."]) == 1
    assert "..: there is no folder" in capsys.readouterr().err
