"""What a rule's script imports: seconds of CPU time in each of a run's many jobs."""

import ast
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Their work is done by networks, or measures it.
WITH_TORCH = {
    *("benchmark_faces", "clip_quality", "empty_prompt", "encode_latents", "enhance", "fetch_judge"),
    *("measure", "restore_benchmark"),
}


def imports(script):
    """The import statements of a script."""
    tree = ast.parse(script.read_text())
    return [ast.unparse(node) for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


def test_rules_without_networks_start_without_torch():
    light = [script for script in SCRIPTS.glob("*.py") if script.stem not in WITH_TORCH]
    lines = ["import sys"]
    for script in light:
        lines += [*imports(script), f"assert 'torch' not in sys.modules, {script.name!r}"]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
