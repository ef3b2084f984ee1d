"""Measuring restored clips."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from vividface.config import FacesConfig
from vividface.errors import InputError, MissingWeightsError
from vividface.evaluation.metrics import Clip, Metric, NotMeasurableError, load_metrics
from vividface.evaluation.metrics.features import (
    ClipFaces,
    FaceReader,
    available_features,
    load_faces,
    save_faces,
)
from vividface.video import read_clip


@dataclass(frozen=True)
class Measurement:
    """One metric of one clip.

    Attributes:
        clip_id: the clip.
        metric: name of the metric's variant.
        value: value; None where the metric cannot be measured.
        reason: reason why not, or empty.
    """

    clip_id: str
    metric: str
    value: float | None
    reason: str = ""


def measure_clips(
    restored: Mapping[str, Path],
    reference: Mapping[str, Path] | None,
    *,
    metrics: Iterable[str],
    faces_config: FacesConfig,
    reference_faces: Path | None = None,
    device: str = "cpu",
) -> pd.DataFrame:
    """Measure metrics of clips.

    Args:
        restored: files of the restored clips, by their ids.
        reference: files of the clips that they are compared with, by the same ids; None for really degraded
            ones, which have no ground truth.
        metrics: names of the metrics, as in the configuration.
        faces_config: the face backend, whose identity network is the backbone of `ids` and `facecons`.
        reference_faces: file of `write_reference_faces`; the faces that it lacks are found here.
        device: device of the networks; those of mediapipe and dlib run on the CPU.

    Returns:
        a row `clip_id`, `metric`, `value`, `reason` per clip and metric: a metric that cannot be measured has
        a null value and the reason.

    Raises:
        InputError: a metric is not known, a clip has no reference, or they differ in size or length.
    """
    loaded, missing = load_metrics(metrics, identity_network=faces_config.identity_network)
    reader = _load_reader(faces_config, loaded, missing, device)
    features = _features(loaded.values(), with_reference=reference is not None)
    stored = load_faces(reference_faces) if reference_faces else {}
    measurements: list[Measurement] = []
    for clip_id, path in tqdm(restored.items(), desc="measure", unit="clip"):
        frames, reference_frames = _read(clip_id, path, reference)
        clip = Clip(frames=frames, reference=reference_frames, device=device)
        if reader is not None:
            clip = _with_faces(clip, reader, features, stored=stored.get(clip_id))
        measurements += [_measure(clip_id, clip, name, metric) for name, metric in loaded.items()]
        measurements += [Measurement(clip_id, name, None, reason) for name, reason in missing.items()]
    columns = [field.name for field in fields(Measurement)]
    return pd.DataFrame(measurements, columns=columns).astype({"value": "float64"})


def write_reference_faces(
    reference: Mapping[str, Path], faces_config: FacesConfig, *, output: Path, device: str = "cpu"
) -> None:
    """Find the faces of the ground truth once for all methods, with the features whose networks exist here.

    Args:
        reference: files of the true clips, by their ids.
        faces_config: the face backend.
        output: safetensors file.
        device: device of the backend's networks.
    """
    reader = FaceReader(faces_config, device)
    features = available_features(reader)
    clips = tqdm(reference.items(), desc="reference faces", unit="clip")
    save_faces(output, {clip: reader.read(read_clip(path), features) for clip, path in clips})


def _load_reader(
    faces_config: FacesConfig, loaded: dict[str, Metric], missing: dict[str, str], device: str
) -> FaceReader | None:
    """The reader of faces, if a metric needs one; metrics whose networks do not exist here become missing."""
    reader = None
    for name, metric in list(loaded.items()):
        if not metric.needs_faces:
            continue
        try:
            reader = reader or FaceReader(faces_config, device)
            if metric.feature is not None:
                reader.prepare(metric.feature)
        except MissingWeightsError as error:
            missing[name] = str(error)
            del loaded[name]
    return reader if any(metric.needs_faces for metric in loaded.values()) else None


def _features(metrics: Iterable[Metric], *, with_reference: bool) -> Collection[str]:
    usable = [metric for metric in metrics if with_reference or not metric.needs_reference]
    return sorted({metric.feature for metric in usable if metric.feature is not None})


def _read(
    clip_id: str, path: Path, reference: Mapping[str, Path] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """A clip's frames and its reference's."""
    frames = read_clip(path)
    if reference is None:
        return frames, None
    if clip_id not in reference:
        raise InputError(
            f"{clip_id}: is restored, but has no ground truth; remove {path} or add its ground truth"
        )
    reference_frames = read_clip(reference[clip_id])
    if reference_frames.shape != frames.shape:
        raise InputError(
            f"{path}: has frames, height and width {frames.shape[:3]}, but its ground truth "
            f"{reference[clip_id]} has {reference_frames.shape[:3]}; restore it again"
        )
    return frames, reference_frames


def _with_faces(
    clip: Clip, reader: FaceReader, features: Collection[str], *, stored: ClipFaces | None
) -> Clip:
    """A clip with its faces and its reference's, of which those stored before need not be found again."""
    reference_faces = None
    if clip.reference is not None:
        # Faces of another number of frames are of another cut of the clip.
        same = stored if stored is not None and len(stored.found) == len(clip.reference) else None
        reference_faces = reader.read(clip.reference, features, earlier=same)
    faces = reader.read(clip.frames, features, fallback=reference_faces)
    return replace(clip, faces=faces, reference_faces=reference_faces)


def _measure(clip_id: str, clip: Clip, name: str, metric: Metric) -> Measurement:
    if metric.needs_reference and clip.reference is None:
        return Measurement(clip_id, name, None, "this benchmark has no ground truth")
    try:
        return Measurement(clip_id, name, metric.measure(clip))
    except NotMeasurableError as error:
        return Measurement(clip_id, name, None, str(error))
