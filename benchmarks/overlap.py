"""Whether the model of `vividface enhance` ever waits: for how long a model that only sleeps is not called.

    python benchmarks/overlap.py --video face.mp4 --seconds 2

The model sleeps for so many seconds in each window, as the CPU does while a GPU works; reading, finding
faces, pasting and writing go on. Prints the time from the beginning of the first call to the end of the last,
over the time that was slept, and what lies before and behind.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from vividface.restoration.enhance import enhance
from vividface.restoration.loading import RestorerOptions, enhance_config, load_restorer
from vividface.restoration.opening import open_source


class SleepingModel:
    """A model that sleeps.

    Args:
        seconds: duration of each call, s.

    Attributes:
        calls: beginning and end of each call, s.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.calls: list[tuple[float, float]] = []

    def __call__(self, frames: np.ndarray, *, strength: float = 1) -> np.ndarray:
        """Brighten frames (F, H, W, 3) a little, so that all that follows has to be done."""
        begun = time.perf_counter()
        time.sleep(self._seconds)
        restored = frames + np.uint8(4) * (frames < 250)
        self.calls.append((begun, time.perf_counter()))
        return restored


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, required=True, help="a face video")
    parser.add_argument("--seconds", type=float, default=2, help="s that the model sleeps in each window")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    model = SleepingModel(options.seconds)
    restorer = replace(load_restorer(RestorerOptions(model="nano", device="cpu")), restore=model)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        result = enhance(
            open_source(options.video),
            Path(folder) / "new.mp4",
            restorer=restorer,
            config=enhance_config(restorer),
        )
        ended = time.perf_counter()
    slept = sum(end - start for start, end in model.calls)
    figures = {
        "frames": result.num_frames,
        "windows": len(model.calls),
        "over_slept": (model.calls[-1][1] - model.calls[0][0]) / slept,
        "seconds_before": model.calls[0][0] - begun,
        "seconds_behind": ended - model.calls[-1][1],
    }
    print(json.dumps(figures, indent=2))
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
