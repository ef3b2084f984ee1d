"""A published method's own Python environment, made by uv, Python's venv or conda."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vividface.downloads import require_network
from vividface.errors import InputError
from vividface.evaluation.methods.description import Environment, PublishedMethod
from vividface.evaluation.methods.programs import run_program
from vividface.files import write_text

# Holds the versions of the installed packages; the environment is complete when it exists.
_COMPLETE = "packages.txt"
_CONDAS = ("micromamba", "mamba", "conda")


@dataclass(frozen=True)
class Interpreter:
    """A method's environment.

    Attributes:
        folder: folder of the environment.
    """

    folder: Path

    @property
    def programs(self) -> Path:
        """Folder of its programs."""
        return self.folder / "bin"

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.programs / "python"

    @property
    def packages_folder(self) -> Path:
        """Folder of its packages."""
        return next(self.folder.glob("lib/python3.*/site-packages"), self.folder / "lib")

    @property
    def is_complete(self) -> bool:
        """Whether everything is installed."""
        return (self.folder / _COMPLETE).is_file()

    @property
    def packages(self) -> list[str]:
        """The installed packages, `name==version`."""
        return (self.folder / _COMPLETE).read_text().splitlines()

    def take(self, prefix: Path) -> None:
        """Have its folder be a link to an environment that lies elsewhere, in place of what is there."""
        if self.folder.is_symlink():
            self.folder.unlink()
        elif self.folder.is_dir():
            shutil.rmtree(self.folder)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.symlink_to(prefix.absolute())

    def resolved(self, command: list[str]) -> list[str]:
        """A command line whose program is the environment's, where it has it."""
        own = self.programs / command[0]
        return [str(own) if own.exists() else command[0], *command[1:]]

    def variables(self, more: Mapping[str, str], *, source: Path, weights: Path) -> dict[str, str]:
        """The environment variables of what runs in it.

        Args:
            more: the method's own variables.
            source: folder of the method's code, which is on Python's path.
            weights: folder of its weights.
        """
        places = {"source": str(source), "weights": str(weights)}
        path = os.pathsep.join([str(self.programs), os.environ.get("PATH", os.defpath)])
        return {
            "PATH": path,
            "VIRTUAL_ENV": str(self.folder),
            "PYTHONPATH": str(source),
            "PYTHONNOUSERSITE": "1",
            "PYTHONUNBUFFERED": "1",
            **{name: value.format_map(places) for name, value in more.items()},
        }


def build_environment(
    method: PublishedMethod, interpreter: Interpreter, source: Path, *, weights: Path
) -> None:
    """Install what a method needs, unless that is done; an interrupted installation is taken up again.

    Args:
        method: the method.
        interpreter: environment to be made.
        source: folder of the method's code.
        weights: folder of its weights.

    Raises:
        InputError: there is no fitting Python, or a package cannot be installed.
    """
    if interpreter.is_complete:
        return
    title, environment = f"environment of {method.title}", method.environment
    if environment.packages or environment.conda:
        require_network(title)
    interpreter.folder.mkdir(parents=True, exist_ok=True)
    if not interpreter.python.exists():
        _create(environment, interpreter.folder, title)
    requirements = interpreter.folder / "requirements.txt"
    write_text(requirements, "\n".join([*environment.packages, ""]))
    if environment.packages:
        # A requirement such as `-r requirements.txt` is of the checkout.
        _run([*_installer(interpreter), "--requirement", str(requirements)], title, source)
    variables = interpreter.variables(environment.variables, source=source, weights=weights)
    for command in environment.setup:
        run_program(interpreter.resolved(command), title=title, folder=source, variables=variables)
    freeze = run_program(
        [str(interpreter.python), "-c", _LIST_PACKAGES], title=title, folder=interpreter.folder
    )
    write_text(interpreter.folder / _COMPLETE, freeze)


_LIST_PACKAGES = """
import sys
from importlib.metadata import distributions
print("python==%d.%d.%d" % sys.version_info[:3])
for line in sorted({"%s==%s" % (d.metadata["Name"], d.version) for d in distributions()}):
    print(line)
"""


def _create(environment: Environment, folder: Path, title: str) -> None:
    """Make an environment without packages: with conda where it needs packages of conda, else with the first
    of uv, this machine's Python of the version, and conda.
    """
    conda = next(filter(None, map(shutil.which, _CONDAS)), None)
    if environment.conda:
        if conda is None:
            raise InputError(
                f"{title}: needs {', '.join(environment.conda)} of conda-forge; install micromamba or conda"
            )
        _create_with_conda(conda, environment, folder, title)
    elif uv := shutil.which("uv"):
        _run(
            [uv, "venv", "--seed", "--allow-existing", "--python", environment.python, str(folder)],
            title,
            folder,
        )
    elif python := _system_python(environment.python):
        without_pip = [] if environment.packages else ["--without-pip"]
        _run([python, "-m", "venv", *without_pip, str(folder)], title, folder)
    elif conda is not None:
        _create_with_conda(conda, environment, folder, title)
    else:
        raise InputError(
            f"{title}: needs Python {environment.python}, which is not here; install uv (`pip install uv`) "
            "or conda, either of which brings it"
        )


def _create_with_conda(conda: str, environment: Environment, folder: Path, title: str) -> None:
    packages = [f"python={environment.python}", "pip", *environment.conda]
    command = [conda, "create", "--yes", "--prefix", str(folder), "--channel", "conda-forge"]
    # A prefix that exists is asked about.
    shutil.rmtree(folder)
    _run([*command, "--override-channels", *packages], title, folder.parent)


def _system_python(version: str) -> str | None:
    """A Python of this version that works: a version manager's stub for another is on the path too."""
    candidates = [sys.executable, shutil.which(f"python{version}")]
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for python in filter(None, candidates):
        found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        if found.stdout.strip() == version:
            return python
    return None


def _installer(interpreter: Interpreter) -> list[str]:
    if uv := shutil.which("uv"):
        # As pip does: the best version of all indexes, not of the first that has the package.
        return [
            uv,
            "pip",
            "install",
            "--python",
            str(interpreter.python),
            "--index-strategy",
            "unsafe-best-match",
        ]
    return [str(interpreter.python), "-m", "pip", "install", "--disable-pip-version-check"]


def _run(command: list[str], title: str, folder: Path) -> None:
    # Of another environment, this process's, nothing is to be seen.
    run_program(command, title=title, folder=folder, variables={"PYTHONPATH": "", "PYTHONNOUSERSITE": "1"})


def conda_file(method: PublishedMethod) -> str:
    """The environment as conda's file, `envs/methods/NAME.yaml`.

    Args:
        method: the method.
    """
    environment = method.environment
    dependencies: list[Any] = [f"python={environment.python}", "pip", *environment.conda]
    if environment.packages:
        dependencies.append({"pip": environment.packages})
    values = {"channels": ["conda-forge", "nodefaults"], "dependencies": dependencies}
    head = f"# {method.title}: written by `make schema` from vividface/evaluation/methods/published/.\n"
    head += "".join(f"# Then, in the checkout: {shlex.join(command)}\n" for command in environment.setup)
    head += "".join(f"# Its commands need {name}={value}.\n" for name, value in environment.variables.items())
    return head + yaml.safe_dump(values, sort_keys=False, width=1000)
