"""Snakemake's own deployment by conda, with a program in its place that makes environments of this Python."""

import copy
import json
import sys
import sysconfig

import pytest

pytestmark = pytest.mark.workflow

# What Snakemake asks of conda. Its environments see the packages of this one, which the rules' scripts need.
CONDA = """#!{python}
import sys, venv
from pathlib import Path

words = sys.argv[1:]
if words[:2] == ["info", "--json"]:
    print('{{"conda_prefix": "{base}", "platform": "linux-64"}}')
elif words[:1] == ["--version"]:
    print("conda 24.11.1")
elif words[:2] == ["config", "--get"]:
    print('{{"get": {{"channel_priority": "strict"}}}}')
elif words[:2] == ["env", "create"]:
    file, prefix = (Path(words[words.index(name) + 1]) for name in ("--file", "--prefix"))
    with open("{base}/made", "a") as made:
        print(prefix, file.read_text().splitlines()[0], file=made)
    venv.create(prefix)
    (packages,) = prefix.glob("lib/python3.*/site-packages")
    (packages / "all.pth").write_text("{packages}\\n")
"""
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


@pytest.fixture
def conda(tmp_path, monkeypatch):
    """The folder of a program in conda's place, where it notes what it has made."""
    programs = tmp_path / "conda" / "bin"
    programs.mkdir(parents=True)
    values = {"python": sys.executable, "base": programs.parent, "packages": sysconfig.get_path("purelib")}
    (programs / "conda").write_text(CONDA.format(**values))
    (programs / "conda").chmod(0o755)
    (programs / "activate").write_text(ACTIVATE)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return programs.parent


def test_a_method_has_an_environment_of_its_own_by_conda(make_workspace, conda):
    workspace = make_workspace()
    workspace.overlay = copy.deepcopy(workspace.overlay)
    workspace.overlay.setdefault("evaluation", {})["methods"] = {"keep": {"kind": "published"}}
    target = "data/methods/keep.json"
    result = workspace.snakemake("--software-deployment-method", "conda", "--", target)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    assert "is not accepted" in json.loads((workspace.folder / target).read_text())["missing"]
    made = dict(line.split(maxsplit=1) for line in (conda / "made").read_text().splitlines())
    assert len(made) == 2
    (prefix,) = (prefix for prefix, title in made.items() if title.startswith("# KEEP: "))
    assert (workspace.folder / "data/environments/keep.txt").read_text().strip() == prefix
    # Without conda the rule is not there.
    result = workspace.snakemake("--dry-run", "--", "data/environments/keep.txt")
    assert "MissingRuleException" in result.stdout + result.stderr
