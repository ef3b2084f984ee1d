"""The program that runs a script and prints the seconds of named calls, in a process of its own."""

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vividface.evaluation.methods import timed_calls

# A clock that only the calls move, so that their seconds are exact.
MODEL = """
import functools, time
now = [0.0]
time.perf_counter = lambda: now[0]


class Network:
    def forward(self, seconds, *, more=0):
        now[0] += seconds
        return self.head() + more

    def head(self):
        now[0] += 1
        return 1


def decode(seconds):
    now[0] += seconds


def frames():
    yield 1


def traced(function):
    @functools.wraps(function)
    def call(*arguments):
        return function(*arguments)
    return call
"""
# The order of CUDA's calls and ours.
TORCH = """
class cuda:
    is_initialized = staticmethod(lambda: True)
    synchronize = staticmethod(lambda: print("synchronised"))
"""


@pytest.fixture
def run(tmp_path):
    """`run(names, script, *arguments)`: the process of a script of this text; None times nothing."""
    (tmp_path / "model.py").write_text(MODEL)

    def run(names, script, *arguments):
        (tmp_path / "script.py").write_text(script)
        program = [] if names is None else [timed_calls.__file__, ",".join(names)]
        command = [sys.executable, *program, "script.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def printed(seconds, calls):
    return timed_calls.PRINTED.format(f"{seconds:.6f}", calls) + "\n"


def test_the_seconds_of_calls_are_summed_and_one_within_another_counts_once(run):
    script = "from model import Network, decode\nNetwork().forward(2)\ndecode(0.5)\nNetwork().head()\n"
    result = run(["model:Network.forward", "model:Network.head", "model:decode"], script)
    assert result.stdout == printed(4.5, 3)
    assert run(["model:Network.head"], script).stdout == printed(2, 2)
    assert run(["model:decode"], "import model\n").stdout == printed(0, 0)


def test_what_a_call_is_given_and_gives_is_passed_on(run):
    script = "from model import Network\nprint(Network().forward(1, more=3))\n"
    assert run(["model:Network.forward"], script).stdout == f"4\n{printed(2, 1)}"


def test_a_function_of_the_script_itself_is_timed(run):
    script = (
        "import model\n@model.traced\ndef process(seconds):\n    model.decode(seconds)\n"
        "class Part:\n    def run(self):\n        model.decode(1)\nif __name__ == '__main__':\n"
        "    process(3)\n    Part().run()\n"
    )
    assert run(["__main__:process", "__main__:Part.run"], script).stdout == printed(4, 2)


def test_a_script_sees_what_it_sees_without_the_clock(run):
    script = (
        "import sys\nimport model\nprint(sys.argv, sys.path, __name__, __file__, __builtins__.__name__)\n"
        "print(sys.modules['__main__'].sys is sys, __doc__)\n"
    )
    arguments = ("--input", "a b", "-o=c")
    alone = run(None, script, *arguments)
    assert alone.returncode == 0, alone.stderr
    assert run(["model:decode"], script, *arguments).stdout == alone.stdout + printed(0, 0)


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit(3)",
        "sys.exit('no such device')",
        "raise ValueError('no such device')",
        "exit()",
        f"os.kill(os.getpid(), {int(signal.SIGTERM)})",
    ],
)
def test_a_script_ends_as_it_would_without_the_clock(run, end):
    script = f"import os, sys, model\nmodel.decode(1)\n{end}\n"
    alone, timed = run(None, script), run(["model:decode"], script)
    assert timed.returncode == alone.returncode
    assert timed.stderr.splitlines()[-1:] == alone.stderr.splitlines()[-1:]
    assert timed.stdout == ("" if alone.returncode else printed(1, 1))


def test_cuda_is_synchronised_around_each_call(run, tmp_path):
    (tmp_path / "torch.py").write_text(TORCH)
    script = "import torch, model\nmodel.decode(1)\nprint('between')\nmodel.decode(1)\n"
    pair = "synchronised\nsynchronised\n"
    assert run(["model:decode"], script).stdout == f"{pair}between\n{pair}{printed(2, 2)}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model:Network.backward", "'Network' has no attribute 'backward'"),
        ("model:frames", "frames gives its results one by one, which cannot be timed"),
    ],
)
def test_what_cannot_be_timed_ends_the_script(run, name, message):
    result = run([name], "import model\n")
    assert result.returncode == 1
    assert message in result.stderr.splitlines()[-1]


def test_it_needs_no_newer_python_than_the_methods_have_and_nothing_of_ours():
    source = Path(timed_calls.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= set(sys.stdlib_module_names)
