"""Evaluating anybody's results: folders of videos or of frames, with or without a reference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from vividface.config import FacesConfig
from vividface.devices import choose_device
from vividface.errors import InputError
from vividface.evaluation.footage import Footage, find_footage
from vividface.evaluation.measure import (
    Measurement,
    Measuring,
    RestoredClip,
    check_clips,
    measure_each,
    table_of,
)
from vividface.evaluation.metrics import METRICS, variant
from vividface.files import digest, write_json

# The paper's metrics, and DISTS.
_METRICS = (
    "psnr_rgb",
    "ssim_y",
    "lpips_alex",
    "dists",
    "niqe",
    "musiq",
    "clipiqa",
    "ids",
    "akd",
    "facecons",
    "tlme",
    "landmark_motion",
    "fastervqa",
    "fvd_set",
)
# The row of the degraded clips.
INPUT = "input"


def evaluate(
    results: Path | str | Sequence[Path | str],
    reference: Path | str | None = None,
    *,
    inputs: Path | str | None = None,
    metrics: Sequence[str] | None = None,
    offsets: Mapping[str, int] | None = None,
    faces: str = "mediapipe",
    device: str = "auto",
    num_processes: int = 1,
    progress: bool = False,
    partial: Path | None = None,
) -> pd.DataFrame:
    """Measure results of one or several methods.

    A clip is a video file, or a folder of frames; those of one name, whatever the suffix, belong together.

    Args:
        results: folder of restored clips, or several, a method each; or clips themselves.
        reference: folder of the true clips, or the one; None where there are none, for metrics that need no
            reference.
        inputs: folder of the degraded clips, or the one, which are measured as a method of their own, resized
            to the reference (bicubic). Without a reference, their faces say where to look at the restored
            ones.
        metrics: names of metrics (docs/metrics.md); None takes the paper's and DISTS.
        offsets: number of frames that a result is late, by `METHOD/CLIP`, `CLIP`, or an empty name for all;
            of such a one the frames are compared that both have.
        faces: face backend, `mediapipe`, `dlib` or `facexlib`; `ids`, `facecons` and `vidd` take its
            identity network.
        device: `cpu`, `cuda`, or `auto`: a GPU if there is one.
        num_processes: number of clips that are measured at a time; with several, a script needs Python's
            `if __name__ == "__main__"`.
        progress: whether a progress bar is shown.
        partial: folder for what is measured already, from which an interrupted run goes on; it is removed in
            the end. None keeps nothing.

    Returns:
        a row `clip_id`, `method`, `video`, `metric`, `value`, `reason`, `features`, `reference_features` per
        clip, method and metric: a metric that cannot be measured has a null value and the reason, one of sets
        of clips has features.

    Raises:
        InputError: a folder holds no clips; a result has no reference, or another size, length or place in
            time than it; a metric or the face backend is not known.

    Example:
        >>> from vividface import evaluate
        >>> table = evaluate("restored/", "ground_truth/", metrics=["psnr_rgb", "ssim_y"])
        >>> sorted(table["metric"].unique())
        ['psnr_rgb', 'ssim_y']
    """
    faces_config = FacesConfig.of_backend(faces)
    paths = [results] if isinstance(results, str | Path) else results
    clips = _clips(
        _methods([Path(path) for path in paths]),
        reference=find_footage(Path(reference)) if reference is not None else None,
        degraded=find_footage(Path(inputs)) if inputs is not None else None,
        offsets=offsets or {},
    )
    if metrics is None:
        metrics = _default_metrics(faces_config, with_reference=reference is not None)
    measuring = Measuring(
        metrics=list(metrics),
        faces_config=faces_config,
        device=choose_device(device),
        num_processes=num_processes,
    )
    done = _Partial(partial, measuring)
    remaining = [clip for clip in clips if done.read(clip) is None]
    check_clips(remaining, progress=progress)
    for clip, rows in measure_each(remaining, measuring, progress=progress):
        done.write(clip, rows)
    table = table_of(row for clip in clips for row in done.read(clip) or [])
    done.remove()
    return table.assign(video=table["clip_id"])


def _default_metrics(faces_config: FacesConfig, *, with_reference: bool) -> list[str]:
    network = faces_config.identity_network
    return [
        name for name in _METRICS if with_reference or not METRICS[variant(name, network)].needs_reference
    ]


def _methods(paths: Sequence[Path]) -> dict[str, dict[str, Footage]]:
    """The clips of each method, whose name is that of its folder; with that of the folder above if needed."""
    names = [path.absolute().name for path in paths]
    if len(set(names)) < len(names):
        names = ["/".join(path.absolute().parts[-2:]) for path in paths]
    if len(set(names)) < len(names) or INPUT in names:
        raise InputError(f"{paths[-1]}: has the name of another folder of results; rename one")
    return {name: find_footage(path) for name, path in zip(names, paths, strict=True)}


def _clips(
    methods: Mapping[str, Mapping[str, Footage]],
    *,
    reference: Mapping[str, Footage] | None,
    degraded: Mapping[str, Footage] | None,
    offsets: Mapping[str, int],
) -> list[RestoredClip]:
    """The clips by name. Where each path is a single clip, they belong together whatever their names."""
    given = [*methods.values(), *(part for part in (reference, degraded) if part is not None)]
    if all(len(part) == 1 for part in given):
        name = next(iter(given[0]))
        methods = {method: {name: next(iter(part.values()))} for method, part in methods.items()}
        reference = reference and {name: next(iter(reference.values()))}
        degraded = degraded and {name: next(iter(degraded.values()))}
    names = list(dict.fromkeys(name for part in methods.values() for name in part))
    known = {"", *names, *(f"{method}/{name}" for method in [*methods, INPUT] for name in names)}
    if unknown := sorted(set(offsets) - known):
        raise InputError(f"--align {unknown[0]}: there is no such clip; there are {', '.join(names[:5])}")
    clips = []
    for name in names:
        results = {method: part[name] for method, part in methods.items() if name in part}
        shown = next(iter(results.values()))
        true = _partner(name, reference, shown, kind="reference")
        source = _partner(name, degraded, shown, kind="degraded video")
        if source is not None:
            results = {INPUT: replace(source, size=true.own_size) if true is not None else source, **results}
        places = {method: (f"{method}/{name}", name, "") for method in results}
        late = {
            method: next(offsets[key] for key in keys if key in offsets)
            for method, keys in places.items()
            if any(key in offsets for key in keys)
        }
        clips.append(
            RestoredClip(clip_id=name, results=results, reference=true, degraded=source, offsets=late)
        )
    return clips


def _partner(name: str, others: Mapping[str, Footage] | None, shown: Footage, *, kind: str) -> Footage | None:
    if others is None:
        return None
    if name not in others:
        folder = next(iter(others.values())).path.parent
        raise InputError(
            f"{folder}: holds no {kind} named {name}, to go with {shown.path}; add it, or remove the result"
        )
    return others[name]


class _Partial:
    """What an evaluation has measured already, a file per clip.

    A file is of the same videos, metrics and version of this package, or it is not read.

    Args:
        folder: folder of the files; None keeps the measurements in memory.
        measuring: the metrics, and how they are measured.
    """

    def __init__(self, folder: Path | None, measuring: Measuring) -> None:
        self._folder = folder
        self._key = [version("vividface"), list(measuring.metrics), measuring.faces_config.model_dump()]
        self._rows: dict[str, list[Measurement]] = {}

    def read(self, clip: RestoredClip) -> list[Measurement] | None:
        """The measurements of a clip, or None."""
        path = self._path(clip)
        if clip.clip_id not in self._rows and path is not None and path.is_file():
            self._rows[clip.clip_id] = [Measurement(**row) for row in json.loads(path.read_text())]
        return self._rows.get(clip.clip_id)

    def write(self, clip: RestoredClip, rows: list[Measurement]) -> None:
        """Keep the measurements of a clip."""
        self._rows[clip.clip_id] = rows
        if (path := self._path(clip)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, [asdict(row) for row in rows])

    def remove(self) -> None:
        """Remove the files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, clip: RestoredClip) -> Path | None:
        if self._folder is None:
            return None
        footage: dict[str, Any] = {
            name: [str(part.path.absolute()), part.written, part.size]
            for name, part in [*clip.results.items(), ("/true", clip.reference), ("/lq", clip.degraded)]
            if part is not None
        }
        key = digest([self._key, clip.clip_id, footage, dict(clip.offsets or {})])
        return self._folder / f"{key}.json"
