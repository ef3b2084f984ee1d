"""What a method's restoration of a benchmark costs: the file `run.json` (Table 3)."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vividface.files import atomic_path, write_json

_FILE = "run.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One method on one benchmark.

    Attributes:
        method: name of the method.
        num_frames: number of frames, by clip.
        num_steps: number of diffusion steps; 0 for a method without diffusion, None for results of others.
        timed_clip: clip that was restored several times, after a warm-up; empty for results of others, as
            all that follows.
        seconds_per_run: times of the restorer alone on that clip, s.
        width: width of that clip, px.
        height: height of that clip, px.
        peak_memory_mb: peak memory of the process or, on a GPU, of the GPU, MiB.
        device: name of the processor or the GPU.
        threads: number of threads.
        dtype: type of the model's weights, or empty where the method is no model of ours.
        time_of: what was timed, where it is not the restorer alone after a warm-up; else empty.
        missing: reason why the method restored nothing, or empty.
    """

    method: str
    num_frames: dict[str, int]
    num_steps: int | None = None
    timed_clip: str = ""
    seconds_per_run: list[float] = field(default_factory=list)
    width: int = 0
    height: int = 0
    peak_memory_mb: float | None = None
    device: str = ""
    threads: int = 0
    dtype: str = ""
    time_of: str = ""
    missing: str = ""

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read the run of a folder of restored clips."""
        return cls(**json.loads((folder / _FILE).read_text()))

    def write(self, folder: Path) -> None:
        """Write it into a folder of restored clips."""
        write_json(folder / _FILE, asdict(self))

    @property
    def seconds(self) -> float | None:
        """Median time of the timed clip, s; None where none was timed."""
        return statistics.median(self.seconds_per_run) if self.seconds_per_run else None

    @property
    def milliseconds_per_frame(self) -> float | None:
        """Median time of one of its frames, ms; None where none was timed."""
        return None if self.seconds is None else 1000 * self.seconds / self.num_frames[self.timed_clip]

    @property
    def conditions(self) -> str:
        """On what, and how, the time was measured; empty where it was not."""
        if not self.seconds_per_run:
            return ""
        clip = f"a clip of {self.num_frames[self.timed_clip]} frames of {self.width}x{self.height}"
        if self.time_of:
            return f"Time of {self.time_of}, on {clip}; {self.device}"
        weights = f", weights in {self.dtype}" if self.dtype else ""
        return (
            f"Time: the median of {len(self.seconds_per_run)} after a warm-up, on {clip}; {self.device}, "
            f"{self.threads} thread{'s' if self.threads > 1 else ''}{weights}"
        )


def write_missing(method: str, reason: str, output: Path) -> None:
    """Write a folder of results without any, that says why.

    Args:
        method: name of the method.
        reason: reason, as tables print it.
        output: folder of the results, written atomically.
    """
    with atomic_path(output) as temporary:
        temporary.mkdir()
        Run(method=method, num_frames={}, missing=reason).write(temporary)
