"""The public names, their examples, and what is said where an extra is missing."""

import doctest
import os
import subprocess
import sys

import pytest

import vividface
from vividface.extras import explain_missing

PUBLIC = ("OneStepFacePipeline", "enhance_video", "evaluate", "load_config")


def python(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **options
    )


def test_the_names_are_offered_and_loaded_late():
    assert set(vividface.__all__) == {*PUBLIC, "__version__"}
    assert set(vividface.__all__) <= set(dir(vividface))
    result = python("import sys, vividface; print('torch' in sys.modules, vividface.__version__)")
    assert result.stdout.split() == ["False", vividface.__version__], result.stderr
    with pytest.raises(AttributeError, match="has no attribute 'restore'"):
        _ = vividface.restore


@pytest.mark.parametrize(("given", "taken"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_without_spinning_unless_told(given, taken):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": given} if given else {}
    result = python("import os, vividface; print(os.environ['OMP_WAIT_POLICY'])", env=environment)
    assert result.stdout.strip() == taken, result.stderr


@pytest.fixture
def checkout(repository, tmp_path, monkeypatch, moving_frames):
    """A folder with the files that the examples name: a checkpoint, a video, results and their reference."""
    import torch

    from vividface.models.autoencoders import DCTAutoencoder
    from vividface.models.checkpoints import save_checkpoint
    from vividface.models.presets import NANO
    from vividface.models.transformer import OneStepTransformer
    from vividface.video import write_clip

    torch.manual_seed(0)
    transformer = OneStepTransformer(**NANO)
    transformer.zero_output()
    save_checkpoint(tmp_path / "checkpoints/main/pixel_stage", transformer, DCTAutoencoder())
    write_clip(tmp_path / "old.mp4", moving_frames, 25, codec="h264")
    for folder in ("restored", "ground_truth"):
        (tmp_path / folder).mkdir()
        write_clip(tmp_path / folder / "a.mp4", moving_frames, 25, codec="h264")
    for name in ("config.yaml", "configs"):
        (tmp_path / name).symlink_to(repository / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_in_its_docstring_runs(checkout, name):
    function = getattr(vividface, name)
    examples = [
        example
        for test in doctest.DocTestFinder(recurse=True).find(function, name)
        for example in [test]
        if example.examples
    ]
    assert examples, f"{name} has no example"
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    for example in examples:
        runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("dvc.repo", "workflow"),
        ("pyiqa", "evaluate"),
        ("yt_dlp", "data"),
        ("peft", "train"),
        ("facexlib.utils", "gpu"),
    ],
)
def test_a_missing_extra_is_named_in_one_line(module, extra):
    message = explain_missing(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert message.endswith(f"run `pip install 'vividface[{extra}]'`")
    assert message.startswith(f"{module.partition('.')[0]}: ")
    assert "\n" not in message


def test_what_no_extra_brings_is_no_matter_of_extras():
    assert explain_missing(ModuleNotFoundError("No module named 'nonsense'", name="nonsense")) is None


def test_the_command_and_the_api_name_the_missing_extra(tmp_path):
    block = "import sys; sys.modules['pyiqa'] = sys.modules['dvc'] = None\n"
    command = "from vividface.cli.main import main; sys.exit(main(['publish']))"
    result = python(block + command, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: "), result.stderr
    folder = tmp_path / "restored"
    folder.mkdir()
    call = "import vividface; vividface.evaluate"
    blocked = "import sys; sys.modules['pandas'] = None\n"
    result = python(blocked + call)
    assert "pip install 'vividface[data]'" in result.stderr


def test_versions_agree(repository):
    import tomllib

    import yaml

    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    changes = (repository / "CHANGELOG.md").read_text()
    assert project["version"] == citation["version"]
    assert f"## {project['version']} - " in changes
