"""What a rule's script imports: seconds of CPU time in each of a run's many jobs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Their work is done by the model, or by networks.
WITH_DIFFUSERS = {"encode_latents", "enhance"}
WITH_TORCH = WITH_DIFFUSERS | {
    *("benchmark_faces", "clip_quality", "empty_prompt", "fetch_judge", "measure", "restore_benchmark"),
}


def imports(script):
    """The import statements of a script."""
    tree = ast.parse(script.read_text())
    return [ast.unparse(node) for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.mark.parametrize(("package", "users"), [("torch", WITH_TORCH), ("diffusers", WITH_DIFFUSERS)])
def test_scripts_import_what_their_work_needs(package, users):
    lines = ["import sys"]
    for script in SCRIPTS.glob("*.py"):
        if script.stem not in users:
            lines += [*imports(script), f"assert {package!r} not in sys.modules, {script.name!r}"]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
