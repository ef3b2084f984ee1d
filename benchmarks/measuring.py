"""The time that the demo's metrics take: one method after the other, and side by side.

    python benchmarks/measuring.py RESULTS ... --reference TRUTH

RESULTS are folders of restored clips, a method each; the first frames of each clip are measured. Prints the
seconds of the wall and of the CPUs that a frame of a method takes, in both ways, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

from vividface.config import load_config
from vividface.evaluation.evaluate import evaluate
from vividface.evaluation.footage import find_footage
from vividface.video import write_clip

_REPOSITORY = Path(__file__).parent.parent


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+", help="folders of restored clips")
    parser.add_argument("--reference", type=Path, required=True, help="folder of the true clips")
    parser.add_argument("--frames", type=int, default=16, help="first frames of each clip that are measured")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="clips at a time")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    config = load_config(_REPOSITORY / "config.yaml", _REPOSITORY / "configs/demo.yaml")
    metrics = config.evaluation.metrics
    with tempfile.TemporaryDirectory() as folder:
        *results, reference = (
            shorten(path, Path(folder) / str(index) / path.name, options.frames)
            for index, path in enumerate([*options.results, options.reference])
        )
        num_frames = options.frames * len(find_footage(reference)) * len(results)
        ways = {
            "one method after the other": lambda: [
                evaluate(path, reference, metrics=metrics, device="cpu") for path in results
            ],
            f"side by side, {options.jobs} clips at a time": lambda: evaluate(
                results, reference, metrics=metrics, device="cpu", num_processes=options.jobs
            ),
        }
        figures = {name: per_frame(measure, num_frames) for name, measure in ways.items()}
    for name, (wall, cpu) in figures.items():
        print(f"{name:40s} {wall:7.3f} s a frame, {cpu:7.3f} s of CPU")
    (wall, cpu), (wall_after, cpu_after) = figures.values()
    print(f"{wall / wall_after:.2f} times as fast, {cpu_after / cpu:.2f} of the CPU time")
    if options.output:
        options.output.write_text(json.dumps({"frames": num_frames, "seconds per frame": figures}, indent=2))


def shorten(folder: Path, output: Path, num_frames: int) -> Path:
    """The first frames of every clip of a folder, without loss."""
    for name, footage in find_footage(folder).items():
        write_clip(output / f"{name}.mkv", footage.read()[:num_frames], 25)
    return output


def per_frame(measure: object, num_frames: int) -> tuple[float, float]:
    """Seconds of the wall and of the CPUs that a frame takes."""
    assert callable(measure)
    started, before = time.perf_counter(), cpu_seconds()
    measure()
    return (time.perf_counter() - started) / num_frames, (cpu_seconds() - before) / num_frames


def cpu_seconds() -> float:
    """What this process and its children have used."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
