"""CPU seconds that a rule's job, Snakemake and `vividface enhance` take before they work.

    python benchmarks/starts.py [--logs logs/benchmarks]

Prints a row per rule: the start of Python with the imports of its script and, of a run that has left its
benchmarks, the number of its jobs and the mean CPU time of one; then the starts of Snakemake and of
`vividface enhance`.
"""

from __future__ import annotations

import argparse
import ast
import csv
import resource
import statistics
import subprocess
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).parent.parent
_SNAKEMAKE = [sys.executable, "-m", "snakemake"]
# What `vividface enhance` does before its first frame; the end of the process does not count.
_LOAD = """
import os
from vividface.models.lean import claim_process, lean_diffusers
claim_process()
import vividface.cli.main
with lean_diffusers():
    from vividface.restoration.loading import RestorerOptions, load_restorer
load_restorer(RestorerOptions(device="cpu"))
import vividface.restoration.enhance
os._exit(0)
"""


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=Path, default=Path("logs/benchmarks"), help="benchmarks of a run")
    parser.add_argument("--repetitions", type=int, default=3, help="the median counts")
    options = parser.parse_args()
    print("| rule | start and imports, s | jobs | a job, s | of it the rule's work, s |\n|" + " --- |" * 5)
    for script in sorted((_REPOSITORY / "scripts").glob("*.py")):
        start = seconds([sys.executable, "-c", imports_of(script)], options.repetitions)
        jobs = [
            cpu_time(path)
            for path in sorted(options.logs.rglob("*.tsv"))
            if is_of(path, script, options.logs)
        ]
        whole = statistics.mean(jobs) if jobs else None
        cells = ["", ""] if whole is None else [f"{whole:.1f}", f"{whole - start:.1f}"]
        print(f"| `{script.stem}` | {start:.2f} | {len(jobs) or ''} | {' | '.join(cells)} |")
    demo = [*_SNAKEMAKE, "--configfile", "configs/demo.yaml", "--cores", "1", "--quiet", "--dry-run", "all"]
    starts = {
        "snakemake --version": [*_SNAKEMAKE, "--version"],
        "dry run of the demo": demo,
        "vividface enhance, until all is loaded": [sys.executable, "-c", _LOAD],
    }
    for name, command in starts.items():
        print(f"{name:40s} {seconds(command, options.repetitions):.2f} s")


def imports_of(script: Path) -> str:
    """The import statements of a script."""
    tree = ast.parse(script.read_text())
    return "\n".join(
        ast.unparse(node) for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))
    )


def is_of(path: Path, script: Path, logs: Path) -> bool:
    """Whether a benchmark of Snakemake's is of a script's rule."""
    return path.relative_to(logs).parts[0].removesuffix(".tsv") == script.stem


def cpu_time(path: Path) -> float:
    """The CPU seconds in a benchmark of Snakemake's."""
    with path.open() as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    return float(row["cpu_time"])


def seconds(command: list[str], repetitions: int) -> float:
    """The median CPU seconds of a command and its children."""
    taken = []
    for _ in range(repetitions):
        before = children_seconds()
        subprocess.run(command, cwd=_REPOSITORY, check=True, capture_output=True)
        taken.append(children_seconds() - before)
    return statistics.median(taken)


def children_seconds() -> float:
    """What the children of this process have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
