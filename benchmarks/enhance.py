"""`vividface enhance` from file to file: its speed, and that its memory does not grow with the length.

    python benchmarks/enhance.py --video face.mp4 --model nano

Repeats a face video to the lengths asked for, as a crop of 128x128, enhances each in a process of its own,
and prints frames per second and the peak of the process's memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vividface.video import VideoWriter, iterate_frames, probe, resize

_ONE = """
import json, resource, sys
from vividface.cli.main import main
status = main(json.loads(sys.argv[1]))
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
sys.exit(status)
"""


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, required=True, help="a face video")
    parser.add_argument("--model", default="nano", help="model or checkpoint folder")
    parser.add_argument("--mode", choices=["crop", "full"], default="crop")
    parser.add_argument("--size", type=int, default=128, help="px, side of the square frames; 0: as they are")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            source = Path(folder) / f"{minutes}.mp4"
            frames = make_video(options.video, source, minutes, options.size)
            figures.append({"minutes": minutes, "frames": frames} | enhance(source, options))
            print(
                f"{minutes:6.1f} min {frames:7d} frames {figures[-1]['frames_per_second']:7.1f} frames/s "
                f"{figures[-1]['peak_memory_mb']:8.0f} MiB"
            )
    growth = figures[-1]["peak_memory_mb"] / figures[0]["peak_memory_mb"] - 1
    print(f"memory of the longest over that of the shortest: {growth:+.1%}")
    if options.output:
        options.output.write_text(
            json.dumps({"mode": options.mode, "size": options.size, "runs": figures}, indent=2)
        )


def make_video(video: Path, output: Path, minutes: float, size: int) -> int:
    """Repeat a video, forwards and backwards so that there is no cut; returns the number of frames."""
    info = probe(video)
    count = round(minutes * 60 * 25)
    shape = (size, size) if size else (info.width, info.height)
    with VideoWriter(
        output, width=shape[0], height=shape[1], fps=25, codec="h264", audio_from=video
    ) as writer:
        for frame in itertools.islice(back_and_forth(video), count):
            writer.write(resize(frame, shape))
    return count


def back_and_forth(video: Path) -> Iterator[np.ndarray]:
    """The first second of a video, to and fro for ever."""
    frames = list(itertools.islice(iterate_frames(video), 25))
    while True:
        yield from frames
        yield from reversed(frames)


def enhance(source: Path, options: argparse.Namespace) -> dict:
    """Enhance in a new process; its figures."""
    arguments = ["enhance", str(source), "-o", str(source.with_name(f"new_{source.name}")), "--json"]
    arguments += ["--mode", options.mode, "--model", options.model, "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", _ONE, json.dumps(arguments)], capture_output=True, text=True, check=True
    )
    *result, memory = done.stdout.strip().splitlines()
    values = json.loads("\n".join(result))
    return {
        "seconds": values["seconds"],
        "frames_per_second": values["frames"] / values["seconds"],
        "peak_memory_mb": float(memory),
    }


if __name__ == "__main__":
    main()
