"""A published method that restores nothing: a real git repository, its own environment, a real program."""

import difflib
import subprocess
import sys
from pathlib import Path

import yaml

from vividface.downloads import cache_directory
from vividface.evaluation.methods.catalogue import read_method
from vividface.evaluation.methods.installation import Installation

# Takes any of the four inputs and writes it out again, the frames as they are, but for what a test asks for.
PROGRAM = """
import argparse, os, shutil, sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--input", type=Path, required=True)
parser.add_argument("--output", type=Path, required=True)
parser.add_argument("--drop", type=int, default=0)
parser.add_argument("--fail", action="store_true")
arguments = parser.parse_args()
print("environment", sys.prefix, os.environ.get("VARIABLE"), flush=True)
print("input", arguments.input.name, len(list(arguments.input.glob("*"))))
print("model took 1.5 s")
if arguments.fail:
    print("no such device", file=sys.stderr)
    sys.exit(3)


def restore(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copy(source, target.with_suffix(source.suffix))
        return
    target.mkdir()
    images = sorted(source.iterdir())
    for image in images[: len(images) - arguments.drop]:
        shutil.copy(image, target / image.name)


entries = sorted(arguments.input.iterdir()) if arguments.input.is_dir() else []
if any(entry.is_dir() or entry.suffix in (".mkv", ".mp4") for entry in entries):
    for entry in entries:
        restore(entry, arguments.output / entry.stem)
else:
    restore(arguments.input, arguments.output / arguments.input.stem)
"""
# In place of the line that copies a frame: a black PNG of 2 x 1 px, made without a package.
WRITE_BLACK = """import struct, zlib
        def chunk(kind, data):
            sum_ = zlib.crc32(kind + data)
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", sum_)
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0))
        pixels = chunk(b"IDAT", zlib.compress(bytes(7)))
        data = b"\\x89PNG\\r\\n\\x1a\\n" + header + pixels + chunk(b"IEND", b"")
        (target / image.name).write_bytes(data)"""
# What it does first, so that a test sees its runs and can stop one: the name of what it was given goes to the
# file `runs` of its code, and where that is the name in the file `stop`, it waits for being killed, or fails.
STOPPING = """
import os, signal, sys
from pathlib import Path

Path("pid").write_text(str(os.getpid()))
given = Path(sys.argv[sys.argv.index("--input") + 1]).stem
with open("runs", "a") as runs:
    print(given, file=runs)
if Path("stop").exists() and Path("stop").read_text() == given:
    signal.pause() if Path("wait").exists() else sys.exit("stopped")
"""
# The Python of this process, which is there.
VERSION = "{}.{}".format(*sys.version_info[:2])
COMMAND = ["python", "restore.py", "--input", "{input}", "--output", "{output}"]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    run = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def make_repository(folder: Path, files: dict[str, str]) -> str:
    """A git repository with one commit, which is returned."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return git(folder, "rev-parse", "HEAD")


def patch_of(program: str) -> dict[str, str]:
    """A patch that replaces the whole program."""
    old, new = PROGRAM.splitlines(keepends=True), program.splitlines(keepends=True)
    diff = "".join(difflib.unified_diff(old, new, "a/restore.py", "b/restore.py"))
    return {"why": "The test wants it.", "diff": diff}


def describe(repository: Path, commit: str, kind: str) -> dict:
    """The description of the stub as values."""
    frames = kind in ("frames", "frame_folders")
    return {
        "title": "Stub",
        "paper": "none",
        "repository": str(repository),
        "commit": commit,
        "licences": [{"id": "mit", "title": "MIT", "page": "none", "accept": False}],
        "tables": [1],
        "num_steps": 0,
        "needs_gpu": False,
        "environment": {"python": VERSION, "packages": [], "variables": {"VARIABLE": "value"}},
        "weights": [],
        "input": {"kind": kind},
        "commands": [COMMAND],
        "output": {
            "kind": "frames" if frames else "video",
            "path": "{output}/{name}/*.png" if frames else "{output}/{name}.*",
        },
    }


def installation_of(values: dict, folder: Path) -> Installation:
    """Where the method of these values is to be installed."""
    path = folder / "stub.yaml"
    path.write_text(yaml.safe_dump(values))
    return Installation("stub", read_method(path), folder / "installed")


def provide(folder: Path, kind: str, program: str = PROGRAM) -> tuple[Path, Path]:
    """The stub's description, and a cache for methods that holds this machine's weights, in a folder."""
    cache, description = folder / "cache", folder / "stub.yaml"
    cache.mkdir()
    (cache / "weights").symlink_to(cache_directory() / "weights")
    commit = make_repository(folder / "code", {"restore.py": program})
    description.write_text(yaml.safe_dump(describe(folder / "code", commit, kind)))
    return description, cache
