"""Imports point downwards, interfaces import no implementation, only `workflow` knows Snakemake and DVC."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vividface"
# From the bottom to the top; what a layer holds may import what is below, and within its own entry.
LAYERS = [
    {"errors", "files", "extras", "streams", "__init__"},
    {"config", "tensors", "downloads", "devices", "orientation"},
    {"video", "hub", "cuts"},
    {"weights"},
    {"faces", "models"},
    {"data", "filtering"},
    {"restoration"},
    {"training", "evaluation"},
    {"workflow", "web"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = {path.relative_to(PACKAGE): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path):
    """The modules of the package that a module imports, also within functions; not those for types alone."""
    tree = ast.parse(path.read_text())
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def packages(path):
    """The parts of the package, such as `data`, that a module imports."""
    names = (name.split(".") for name in imports(path))
    # `from vividface import enhance_video` is the public API, which loads what it needs.
    return {parts[1] for parts in names if parts[0] == "vividface" and len(parts) > 1 and parts[1] in LEVEL}


def part_of(module):
    return module.parts[0].removesuffix(".py")


def test_every_part_has_a_layer():
    assert {part_of(module) for module in MODULES} == set(LEVEL)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_downwards(module):
    if module == Path("__init__.py"):
        return
    own = part_of(module)
    upwards = {name for name in packages(MODULES[module]) if name != own and LEVEL[name] >= LEVEL[own]}
    assert not upwards, f"{module} is below {', '.join(sorted(upwards))}, or beside it"


@pytest.mark.parametrize("module", [m for m in MODULES if m.name == "base.py"], ids=str)
def test_interfaces_import_no_implementation(module):
    """Whatever a `base.py` imports of its own package does not import the `base.py`, at any distance."""
    package = module.parts[0]
    graph = defaultdict(set)
    for other in MODULES:
        name = f"vividface.{'.'.join(other.with_suffix('').parts)}"
        for target in imports(MODULES[other]):
            known = [m for m in (target, target.rpartition(".")[0]) if _exists(m)]
            graph[name] |= set(known[:1])
    start = f"vividface.{package}.base"
    reached, stack = set(), list(graph[start])
    while stack:
        name = stack.pop()
        if name not in reached:
            reached.add(name)
            stack += graph[name]
    assert start not in reached


def _exists(module):
    return Path(*module.split(".")[1:]).with_suffix(".py") in MODULES if "." in module else False


def test_there_is_no_circle_of_imports_late_or_not():
    graph = {}
    for module in MODULES:
        name = f"vividface.{'.'.join(module.with_suffix('').parts)}"
        targets = {m for t in imports(MODULES[module]) for m in (t, t.rpartition(".")[0]) if _exists(m)}
        graph[name] = targets - {name}
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            path.append(name)
            for target in sorted(graph.get(name, ())):
                visit(target)
            path.pop()
            done.add(name)

    for name in graph:
        visit(name)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_the_page_needs_its_libraries(module):
    known = {name.partition(".")[0] for name in imports(MODULES[module])}
    assert part_of(module) == "web" or not known & {"gradio", "fastapi", "starlette", "uvicorn"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_workflow_knows_snakemake_and_dvc(module):
    if part_of(module) == "workflow" or module == Path("cli/versions.py"):
        return
    words = re.findall(r"(?i)\bsnakemake\w*|\bdvc\w*", MODULES[module].read_text())
    assert not words, f"{module} speaks of {', '.join(sorted(set(words)))}"
