"""A program for a published method's Python: run a script, and print the seconds that named calls take.

Usage: python timed_calls.py MODULE:NAME,... SCRIPT ARGUMENTS ...

NAME is a function, or a method as `Class.method`; MODULE is `__main__` for one of the script's own. A call
within a timed call is part of it. CUDA is synchronised before and after each. Modules are imported when and
as the script imports them; its arguments, output and exit status are its own.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import os
import sys
import time
import types
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

PRINTED = "vividface: {} s in {} timed calls"
_WRAP = "__vividface_timed__"


def _synchronize() -> None:
    torch = sys.modules.get("torch")
    # Before its first use CUDA has nothing to wait for, and asking would take memory of the GPU.
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


class Stopwatch:
    """Sums the seconds of calls.

    Attributes:
        seconds: seconds of all calls.
        calls: number of calls.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._is_running = False

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose calls are timed."""
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__qualname__} gives its results one by one, which cannot be timed")

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            if self._is_running:
                return function(*arguments, **options)
            _synchronize()
            self._is_running, started = True, time.perf_counter()
            try:
                result = function(*arguments, **options)
            finally:
                self._is_running = False
            _synchronize()
            self.seconds += time.perf_counter() - started
            self.calls += 1
            return result

        return call


class TimedModules:
    """Finds modules as Python does, and has functions of theirs timed as soon as they are executed.

    Args:
        names: names of the functions, by module.
        stopwatch: stopwatch of their calls.
    """

    def __init__(self, names: Mapping[str, Sequence[str]], stopwatch: Stopwatch) -> None:
        self._names, self._stopwatch = names, stopwatch

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """The origin of a module; None of one without timed functions, which others find."""
        spec = PathFinder.find_spec(name, path, target) if name in self._names else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            for function in self._names[name]:
                *outer, last = function.split(".")
                owner = functools.reduce(getattr, outer, module)
                setattr(owner, last, self._stopwatch.timed(getattr(owner, last)))

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def run_script(script: str, names: Sequence[str], stopwatch: Stopwatch) -> None:
    """Run a script as Python does.

    Args:
        script: path of the script.
        names: names of its own functions that are timed.
        stopwatch: stopwatch of their calls.
    """
    with open(script, "rb") as file:  # noqa: PTH123
        tree = ast.parse(file.read(), script)
    body = []
    for statement in tree.body:
        body.append(statement)
        for name in names:
            if getattr(statement, "name", None) == name.split(".")[0]:
                body += ast.parse(f"{name} = {_WRAP}({name})").body
    tree.body = body
    module = types.ModuleType("__main__")
    path = os.path.abspath(script)  # noqa: PTH100
    module.__dict__.update({"__file__": path, "__builtins__": builtins, _WRAP: stopwatch.timed})
    sys.modules["__main__"] = module
    exec(compile(tree, script, "exec", dont_inherit=True), module.__dict__)


def _main() -> None:
    names: defaultdict[str, list[str]] = defaultdict(list)
    for function in sys.argv[1].split(","):
        module, _, name = function.partition(":")
        names[module].append(name)
    stopwatch = Stopwatch()
    own = names.pop("__main__", [])
    sys.meta_path.insert(0, TimedModules(names, stopwatch))
    # As if Python had been given the script itself.
    sys.argv = sys.argv[2:]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))  # noqa: PTH100, PTH120
    try:
        run_script(sys.argv[0], own, stopwatch)
    except SystemExit as ended:
        if ended.code:
            raise
    print(PRINTED.format(f"{stopwatch.seconds:.6f}", stopwatch.calls), flush=True)


if __name__ == "__main__":
    _main()
