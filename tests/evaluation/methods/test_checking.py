"""Whether a published method's program takes the arguments of its description."""

import pytest
from evaluation.methods.stub import COMMAND, PROGRAM, describe, installation_of, make_repository

from vividface.downloads import Lock
from vividface.errors import InputError
from vividface.evaluation.methods.checking import check_arguments, check_options, check_timed


@pytest.fixture(scope="module")
def install(tmp_path_factory):
    """`install(program, **keys)`: the stub with this program, fetched."""

    def make(program=PROGRAM, **keys):
        folder = tmp_path_factory.mktemp("stub")
        commit = make_repository(folder / "code", {"restore.py": program, "part.py": "value = 1"})
        values = {**describe(folder / "code", commit, "frames"), **keys}
        installation = installation_of(values, folder)
        installation.fetch([], Lock(folder / "lock.json"))
        return installation

    return make


def test_a_program_is_stopped_when_it_has_its_arguments(install):
    """Nothing is read or written: the values of the placeholders are no paths."""
    installation = install(f"import part\n{PROGRAM}")
    assert check_options(installation) == []
    check_arguments(installation)


def test_arguments_that_a_program_does_not_know_are_told(install):
    installation = install(commands=[[*COMMAND, "--upscale=2"]])
    assert check_options(installation) == ["restore.py --upscale"]
    with pytest.raises(InputError, match=r"arguments of Stub: .*unrecognized arguments: --upscale=2"):
        check_arguments(installation)


def test_a_library_that_is_missing_is_told(install):
    with pytest.raises(InputError, match=r"arguments of Stub: .*No module named 'mmcv'"):
        check_arguments(install(f"import mmcv\n{PROGRAM}"))


def test_a_program_that_parses_nothing_is_told(install):
    with pytest.raises(InputError, match=r"restore\.py ends without having parsed its arguments"):
        check_arguments(install("print('done')"))


def test_a_script_that_is_not_there_is_told(install):
    installation = install(commands=[["python", "other.py"]])
    with pytest.raises(InputError, match=r"other\.py: is not in the code at this commit"):
        check_options(installation)


def test_a_program_without_a_parser_is_left_alone(install):
    installation = install("print('done')", parses_arguments=False)
    assert check_options(installation) == []
    check_arguments(installation)


def test_timed_functions_that_nothing_defines_are_told(install):
    here = ["__main__:restore", "restore:restore", "network:Network.forward"]
    gone = ["part:value", "network:Network.Head", "network:Network", "network:forward", "argparse:main"]
    installation = install(timed=[*here, *gone])
    package = installation.interpreter.packages_folder / "network"
    package.mkdir()
    code = "class Network:\n    class Head:\n        pass\n    def forward(self):\n        pass\n"
    (package / "__init__.py").write_text(code)
    assert check_timed(installation) == gone
