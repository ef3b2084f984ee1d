"""Whether a published method's program takes the arguments that its description gives it."""

from __future__ import annotations

import ast
from pathlib import Path

from vividface.errors import InputError
from vividface.evaluation.methods import parse_only
from vividface.evaluation.methods.description import PLACEHOLDERS, script_place
from vividface.evaluation.methods.installation import Installation
from vividface.evaluation.methods.programs import run_program


def check_options(installation: Installation) -> list[str]:
    """The options that a method's commands give and its scripts do not name; reads the code and runs nothing.

    Args:
        installation: the method, whose code has been fetched.
    """
    unknown = []
    for script, words in _scripts(installation):
        known = _named_options(installation.source / installation.method.folder / script)
        given = (word.partition("=")[0] for word in words if word.startswith("-"))
        unknown += [f"{script} {option}" for option in given if option not in known]
    return unknown


def check_arguments(installation: Installation) -> None:
    """Run a method's scripts in its environment, each up to the end of its parser.

    Args:
        installation: the method, whose code and environment are there.

    Raises:
        InputError: a script cannot be imported here, refuses its arguments, or parses none.
    """
    method, interpreter = installation.method, installation.interpreter
    variables = interpreter.variables(
        method.environment.variables, source=installation.source, weights=installation.weights
    )
    values = dict.fromkeys(PLACEHOLDERS, "1")
    for script, words in _scripts(installation):
        command = [str(interpreter.python), str(Path(parse_only.__file__)), script]
        printed = run_program(
            [*command, *(word.format_map(values) for word in words)],
            title=f"arguments of {method.title}",
            folder=installation.source / method.folder,
            variables=variables,
        )
        if parse_only.ACCEPTED not in printed:
            raise InputError(
                f"{method.title}: {script} ends without having parsed its arguments; correct `commands`, or "
                "say `parses_arguments: false`, in its description"
            )


def check_timed(installation: Installation) -> list[str]:
    """The timed functions of a method that neither its code nor its packages define; runs nothing.

    Args:
        installation: the method, whose code and environment are there.
    """
    return [name for name in installation.method.timed if not _defines(installation, *name.split(":"))]


def _defines(installation: Installation, module: str, name: str) -> bool:
    """Whether the first file that Python would take for a module defines a function of this name."""
    folder = installation.source / installation.method.folder
    scripts = [
        folder / command[place]
        for command in installation.method.commands
        if (place := script_place(command))
    ]
    folders = [
        *(script.parent for script in scripts),
        installation.source,
        installation.interpreter.packages_folder,
    ]
    path = Path(*module.split("."))
    files = [folder / file for folder in folders for file in (path / "__init__.py", path.with_suffix(".py"))]
    found = scripts[:1] if module == "__main__" else [file for file in files if file.is_file()]
    scope: list[ast.stmt] = ast.parse(found[0].read_bytes()).body if found else []
    *outer, last = name.split(".")
    for part in outer:
        scope = [
            inner
            for node in scope
            if isinstance(node, ast.ClassDef) and node.name == part
            for inner in node.body
        ]
    return any(isinstance(node, ast.FunctionDef) and node.name == last for node in scope)


def _scripts(installation: Installation) -> list[tuple[str, list[str]]]:
    """The scripts of the commands, each with what follows it."""
    if not installation.method.parses_arguments:
        return []
    scripts = []
    for command in installation.method.commands:
        if place := script_place(command):
            scripts.append((command[place], command[place + 1 :]))
    return scripts


def _named_options(script: Path) -> set[str]:
    """Every text that a script gives to a parser's `add_argument`."""
    if not script.is_file():
        raise InputError(
            f"{script}: is not in the code at this commit; correct `commands` in its description"
        )
    calls = (node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Call))
    return {
        word.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
        for word in call.args
        if isinstance(word, ast.Constant) and isinstance(word.value, str)
    }
