"""What a method's restoration of a benchmark costs: the file `run.json` (Table 3)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vividface.files import write_json

_FILE = "run.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One method on one benchmark.

    Attributes:
        method: name of the method.
        num_steps: number of diffusion steps; 0 for a method without diffusion.
        seconds_per_clip: time of the restorer alone, s, by clip.
        num_frames: number of frames, by clip.
        size: height of the clips, px.
        peak_memory_mb: peak memory of the process or, on a GPU, of the GPU, MiB.
        device: name of the processor or the GPU.
        threads: number of threads.
    """

    method: str
    num_steps: int
    seconds_per_clip: dict[str, float]
    num_frames: dict[str, int]
    size: int
    peak_memory_mb: float
    device: str
    threads: int

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read the run of a folder of restored clips."""
        return cls(**json.loads((folder / _FILE).read_text()))

    def write(self, folder: Path) -> None:
        """Write it into a folder of restored clips."""
        write_json(folder / _FILE, asdict(self))

    @property
    def seconds(self) -> float:
        """Mean time of a clip, s."""
        return float(self._seconds().mean())

    @property
    def milliseconds_per_frame(self) -> float:
        """Mean time of a frame, ms."""
        num_frames = np.array([self.num_frames[clip] for clip in sorted(self.num_frames)])
        return float(1000 * self._seconds().sum() / num_frames.sum())

    def _seconds(self) -> np.ndarray:
        return np.array([self.seconds_per_clip[clip] for clip in sorted(self.num_frames)])
