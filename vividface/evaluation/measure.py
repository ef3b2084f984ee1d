"""Measuring restored clips."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from vividface.config import FacesConfig
from vividface.errors import InputError
from vividface.evaluation.faces import FaceReader, load_faces, save_faces
from vividface.evaluation.metrics import Clip, load_metrics
from vividface.video import read_clip


def measure_clips(
    restored: dict[str, Path],
    reference: dict[str, Path] | None,
    metrics: list[str],
    faces: FacesConfig,
    identity: str,
    reference_faces: Path | None = None,
    device: str = "cpu",
) -> pd.DataFrame:
    """Measure every metric on every clip.

    Args:
        restored: clips by id.
        reference: the true clips, or None for really degraded ones.
        metrics: names, as in the configuration.
        faces: the face backend.
        identity: the backbone of `ids` and `facecons`.
        reference_faces: of `write_reference_faces`; needed with a reference.
        device: where networks run.

    Returns:
        rows `clip_id`, `metric`, `value`, `reason`: a metric that cannot be measured has a null value and the
        reason.

    Raises:
        InputError: a restored clip and its reference differ in size or length.
    """
    ready, missing = load_metrics(metrics, identity)
    reader = FaceReader(faces)
    truths = load_faces(reference_faces) if reference_faces else {}
    rows: list[dict] = []
    for clip_id, path in tqdm(restored.items(), desc="measure", unit="clip"):
        frames = read_clip(path)
        truth = read_clip(reference[clip_id]) if reference else None
        if truth is not None and truth.shape != frames.shape:
            raise InputError(f"{path}: is {frames.shape}, but its ground truth is {truth.shape}")
        clip = Clip(frames, truth, reader.read(frames, truths.get(clip_id)), truths.get(clip_id), device)
        for name, metric in ready.items():
            if metric.needs_reference and truth is None:
                rows.append(_row(clip_id, name, None, "this benchmark has no ground truth"))
                continue
            value = metric.measure(clip)
            known = not math.isnan(value)
            rows.append(_row(clip_id, name, value if known else None, "" if known else "no face is found"))
        rows += [_row(clip_id, name, None, reason) for name, reason in missing.items()]
    table = pd.DataFrame(rows, columns=["clip_id", "metric", "value", "reason"])
    return table.astype({"value": "float64"})


def write_reference_faces(reference: dict[str, Path], faces: FacesConfig, output: Path) -> None:
    """Find the faces of the true clips once, for all methods."""
    reader = FaceReader(faces)
    clips = tqdm(reference.items(), desc="reference faces", unit="clip")
    save_faces(output, {clip: reader.read(read_clip(path)) for clip, path in clips})


def bootstrap_interval(values: np.ndarray, resamplings: int, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean over clips.

    Args:
        values: (N,), one per clip.
        resamplings: how often the clips are drawn again, with replacement.
        seed: of the drawing.
    """
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(values), (resamplings, len(values)))
    low, high = np.percentile(np.asarray(values)[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _row(clip_id: str, metric: str, value: float | None, reason: str) -> dict:
    return {"clip_id": clip_id, "metric": metric, "value": value, "reason": reason}
