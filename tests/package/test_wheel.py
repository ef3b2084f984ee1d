"""The wheel in an empty environment, outside of a checkout: `make test-package`."""

import os
import re
import subprocess
import sys

import pytest
import torch

from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.checkpoints import save_checkpoint
from vividface.models.presets import NANO
from vividface.models.transformer import OneStepTransformer
from vividface.video import probe

pytestmark = [pytest.mark.package, pytest.mark.timeout(1800)]
# Neither of this environment nor of the checkout.
CLEAN = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def run(*command, status=0, **options):
    """What a command prints."""
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    assert result.returncode == status, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def environment(repository, tmp_path_factory):
    """`bin/` of an environment that holds the wheel and what it requires, in the lock's versions."""
    folder = tmp_path_factory.mktemp("package")
    built = (*("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"), "--wheel-dir", folder)
    run(sys.executable, *built, repository)
    (wheel,) = folder.glob("vividface-*.whl")
    pins = re.findall(
        r"^([\w.-]+==[^\s;]+(?: ;[^\\\n]*)?)", (repository / "requirements.lock").read_text(), re.M
    )
    # What pip must not take is left to the markers of the lock.
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pin for pin in pins if "sys_platform == 'never'" not in pin))
    run(sys.executable, "-m", "venv", folder / "env")
    python = folder / "env/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", constraints, wheel)
    return folder / "env/bin"


@pytest.fixture
def somewhere(tmp_path):
    """A folder with a checkpoint that restores every video to itself."""
    torch.manual_seed(0)
    transformer = OneStepTransformer(**NANO)
    transformer.zero_output()
    save_checkpoint(tmp_path / "checkpoint", transformer, DCTAutoencoder())
    return tmp_path


def test_a_video_is_enhanced(environment, somewhere, face_video):
    command = (environment / "vividface", "enhance", face_video, "-o", "new.mp4", "--model", "checkpoint")
    said = run(*command, cwd=somewhere, env=CLEAN)
    before, after = probe(face_video), probe(somewhere / "new.mp4")
    assert (after.num_frames, after.width, after.has_audio) == (
        before.num_frames,
        before.width,
        before.has_audio,
    )
    assert f"faces in {before.num_frames}" in said


def test_the_public_names_are_there(environment, somewhere):
    code = "import vividface; print(vividface.__version__, vividface.__file__); vividface.enhance_video"
    said = run(environment / "python", "-c", code, cwd=somewhere, env=CLEAN)
    assert str(environment.parent) in said


@pytest.mark.parametrize(
    ("command", "extra"),
    [(("publish",), "workflow"), (("rubric", "calibrate", "labels.csv"), "data"), (("web",), "web")],
    ids=["publish", "calibrate", "web"],
)
def test_a_missing_extra_gives_one_line_that_names_it(environment, somewhere, command, extra):
    said = run(environment / "vividface", *command, status=1, cwd=somewhere, env=CLEAN)
    (line,) = said.strip().splitlines()
    assert line.startswith("error: ")
    assert line.endswith(f"run `pip install 'vividface[{extra}]'`")


def test_few_libraries_are_brought_and_none_that_is_non_commercial(environment):
    listed = run(environment / "python", "-m", "pip", "list", "--format", "freeze")
    names = {line.partition("==")[0].lower() for line in listed.splitlines()}
    assert not names & {"pyiqa", "snakemake", "dvc", "yt-dlp", "facexlib", "transformers", "pandas"}
    libraries = {name for name in names if not name.startswith(("nvidia", "cuda", "triton"))}
    assert len(libraries) < 70, sorted(libraries)


def test_help_costs_no_heavy_import(environment, somewhere):
    run(environment / "vividface", "--help", cwd=somewhere, env=CLEAN)
    heavy = ("torch", "cv2", "av", "dlib")
    code = f"import sys, vividface.cli.main; print([m for m in {heavy} if m in sys.modules])"
    assert run(environment / "python", "-c", code, cwd=somewhere, env=CLEAN).strip() == "[]"
