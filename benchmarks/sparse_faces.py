"""What looking for faces in every few frames costs in accuracy: against looking in all of them.

    python benchmarks/sparse_faces.py --clips FOLDER ...

Prints, for the first frames of each clip, the share of frames that are looked at, the overlap of the boxes
with those of looking at every frame, and the frames in which another number of faces is found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from vividface.config import FacesConfig
from vividface.cuts import CutDetector
from vividface.faces.base import Face, FaceBackend
from vividface.faces.load import load_backend
from vividface.faces.sparse import EVERY, SparseDetector
from vividface.faces.tracking import overlap
from vividface.faces.turned import detect
from vividface.video import VIDEO_SUFFIXES, batched, iterate_frames

_CUT_THRESHOLD = 27


class Counting:
    """A backend whose looks are counted.

    Args:
        backend: backend that looks for faces.
    """

    def __init__(self, backend: FaceBackend) -> None:
        self._backend, self.num_looks = backend, 0

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        """See `FaceBackend`."""
        self.num_looks += len(frames)
        return self._backend.detect(frames)


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="videos, or folders of them")
    parser.add_argument("--frames", type=int, default=80, help="first frames of each clip")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    backend = load_backend(FacesConfig.of_backend("mediapipe"))
    figures = {}
    for path in options.clips:
        for video in sorted(path.iterdir()) if path.is_dir() else [path]:
            if video.suffix in VIDEO_SUFFIXES:
                figures[video.stem] = compare(video, backend, options.frames)
                print(video.stem, figures[video.stem], flush=True)
    names = ("looked_at", "overlap")
    print("mean", {name: round(float(np.mean([f[name] for f in figures.values()])), 4) for name in names})
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


def compare(video: Path, backend: FaceBackend, count: int) -> dict[str, float]:
    """The figures of one clip."""
    cuts, counting = CutDetector(_CUT_THRESHOLD), Counting(backend)
    detector, num_frames, others, overlaps = SparseDetector(cast(FaceBackend, counting)), 0, 0, list[float]()
    for frames in batched(islice(iterate_frames(video), count), 2 * EVERY):
        sparse = detector.detect(frames, [cuts.starts_shot(frame) for frame in frames])
        for some, every in zip(sparse, detect(backend, frames), strict=True):
            others += len(some) != len(every)
            overlaps += [max((overlap(a.box, b.box) for b in some), default=0.0) for a in every]
        num_frames += len(frames)
    return {
        "looked_at": round(counting.num_looks / num_frames, 3),
        "overlap": round(float(np.mean(overlaps)), 4),
        "other_number": others,
    }


if __name__ == "__main__":
    main()
