"""What a method's restoration of a benchmark costs: the file `run.json` (Table 3)."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

from vividface.files import write_json

_FILE = "run.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One method on one benchmark.

    Attributes:
        method: name of the method.
        num_steps: number of diffusion steps; 0 for a method without diffusion.
        num_frames: number of frames, by clip.
        timed_clip: clip that was restored several times, after a warm-up.
        seconds_per_run: times of the restorer alone on that clip, s.
        width: width of that clip, px.
        height: height of that clip, px.
        peak_memory_mb: peak memory of the process or, on a GPU, of the GPU, MiB.
        device: name of the processor or the GPU.
        threads: number of threads.
        dtype: type of the model's weights, or empty where the method is no model of ours.
    """

    method: str
    num_steps: int
    num_frames: dict[str, int]
    timed_clip: str
    seconds_per_run: list[float]
    width: int
    height: int
    peak_memory_mb: float
    device: str
    threads: int
    dtype: str = ""

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read the run of a folder of restored clips."""
        return cls(**json.loads((folder / _FILE).read_text()))

    def write(self, folder: Path) -> None:
        """Write it into a folder of restored clips."""
        write_json(folder / _FILE, asdict(self))

    @property
    def seconds(self) -> float:
        """Median time of the timed clip, s."""
        return statistics.median(self.seconds_per_run)

    @property
    def milliseconds_per_frame(self) -> float:
        """Median time of one of its frames, ms."""
        return 1000 * self.seconds / self.num_frames[self.timed_clip]

    @property
    def conditions(self) -> str:
        """On what, and how, the time was measured."""
        weights = f", weights in {self.dtype}" if self.dtype else ""
        return (
            f"Time: the median of {len(self.seconds_per_run)} after a warm-up, on a clip of "
            f"{self.num_frames[self.timed_clip]} frames of {self.width}x{self.height}; {self.device}, "
            f"{self.threads} thread{'s' if self.threads > 1 else ''}{weights}"
        )
