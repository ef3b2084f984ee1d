"""Measuring restored clips."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from vividface.config import FacesConfig
from vividface.errors import InputError, MissingAssetError
from vividface.evaluation.metrics import Clip, Metric, NotMeasurableError, load_metrics
from vividface.evaluation.metrics.faces import (
    ClipFaces,
    FaceReader,
    available_features,
    load_faces,
    save_faces,
)
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
        reference_faces: of `write_reference_faces`; what it lacks is found here, for this method alone.
        device: where the networks run; dlib's and FaceMesh run on the CPU.

    Returns:
        rows `clip_id`, `metric`, `value`, `reason`: a metric that cannot be measured has a null value and the
        reason.

    Raises:
        InputError: a metric is not known, a clip has no reference, or they differ in size or length.
    """
    ready, missing = load_metrics(metrics, identity)
    reader = _reader(faces, ready, missing, device)
    known = load_faces(reference_faces) if reference_faces else {}
    rows: list[dict] = []
    for clip_id, path in tqdm(restored.items(), desc="measure", unit="clip"):
        frames, truth = _read(clip_id, path, reference)
        features = _features(ready.values(), truth is not None)
        found, true_faces = None, None
        if reader is not None:
            if truth is not None:
                true_faces = reader.read(truth, features, known=_matching(known.get(clip_id), truth))
            found = reader.read(frames, features, fallback=true_faces)
        clip = Clip(frames, truth, found, true_faces, device)
        rows += [_measure(clip_id, clip, name, metric) for name, metric in ready.items()]
        rows += [_row(clip_id, name, None, reason) for name, reason in missing.items()]
    table = pd.DataFrame(rows, columns=["clip_id", "metric", "value", "reason"])
    return table.astype({"value": "float64"})


def write_reference_faces(
    reference: dict[str, Path], faces: FacesConfig, output: Path, device: str = "cpu"
) -> None:
    """Find the faces of the true clips once, for all methods: all features whose networks are there."""
    reader = FaceReader(faces, device)
    features = available_features(reader)
    clips = tqdm(reference.items(), desc="reference faces", unit="clip")
    save_faces(output, {clip: reader.read(read_clip(path), features) for clip, path in clips})


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


def _reader(
    faces: FacesConfig, ready: dict[str, Metric], missing: dict[str, str], device: str
) -> FaceReader | None:
    """The reader of faces, if a metric needs one; metrics whose networks are not there move to `missing`."""
    wanted = {name: metric.feature for name, metric in ready.items() if metric.needs_faces}
    reader = None
    for name, feature in wanted.items():
        try:
            reader = reader or FaceReader(faces, device)
            if feature is not None:
                reader.prepare(feature)
        except MissingAssetError as error:
            missing[name] = str(error)
            del ready[name]
    return reader if any(metric.needs_faces for metric in ready.values()) else None


def _features(metrics: Iterable[Metric], with_truth: bool) -> Collection[str]:
    usable = [metric for metric in metrics if with_truth or not metric.needs_reference]
    return sorted({metric.feature for metric in usable if metric.feature is not None})


def _read(
    clip_id: str, path: Path, reference: dict[str, Path] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    frames = read_clip(path)
    if reference is None:
        return frames, None
    if clip_id not in reference:
        raise InputError(f"{clip_id}: is restored, but has no ground truth; remove {path} or add its truth")
    truth = read_clip(reference[clip_id])
    if truth.shape != frames.shape:
        raise InputError(
            f"{path}: has frames, height and width {frames.shape[:3]}, but its ground truth "
            f"{reference[clip_id]} has {truth.shape[:3]}; restore it again"
        )
    return frames, truth


def _matching(known: ClipFaces | None, truth: np.ndarray) -> ClipFaces | None:
    """Faces found before, unless they are of another cut of the clip."""
    return known if known is not None and len(known.found) == len(truth) else None


def _measure(clip_id: str, clip: Clip, name: str, metric: Metric) -> dict:
    if metric.needs_reference and clip.reference is None:
        return _row(clip_id, name, None, "this benchmark has no ground truth")
    try:
        return _row(clip_id, name, metric.measure(clip), "")
    except NotMeasurableError as error:
        return _row(clip_id, name, None, str(error))


def _row(clip_id: str, metric: str, value: float | None, reason: str) -> dict:
    return {"clip_id": clip_id, "metric": metric, "value": value, "reason": reason}
