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
    inputs: Mapping[str, Path] | None = None,
    benchmark_faces: Path | None = None,
    device: str = "cpu",
) -> pd.DataFrame:
    """Measure metrics of clips.

    Args:
        restored: files of the restored clips, by their ids.
        reference: files of the clips that they are compared with, by the same ids; None for really degraded
            ones, which have no ground truth.
        metrics: names of the metrics, as in the configuration.
        faces_config: the face backend, whose identity network is the backbone of `ids` and `facecons`.
        inputs: files of the degraded clips, by the same ids and of the same lengths: without a reference,
            their faces say where to look at the restored ones. None follows the restored faces.
        benchmark_faces: file of `write_benchmark_faces`, with the faces of the reference or, without one, of
            the inputs, in frames of the restored clips' size; what it lacks is found here.
        device: device of the networks; those of mediapipe and dlib run on the CPU.

    Returns:
        a row `clip_id`, `metric`, `value`, `reason` per clip and metric: a metric that cannot be measured has
        a null value and the reason.

    Raises:
        InputError: a metric is not known, or a clip has no reference, or none of the same size and length, or
            no input of the same length.
    """
    loaded, missing = load_metrics(metrics, identity_network=faces_config.identity_network)
    reader = _load_reader(faces_config, loaded, missing, device)
    features = _features(loaded.values(), with_reference=reference is not None)
    stored = load_faces(benchmark_faces) if benchmark_faces else {}
    measurements: list[Measurement] = []
    for clip_id, path in tqdm(restored.items(), desc="measure", unit="clip"):
        frames, reference_frames = _read(clip_id, path, reference)
        clip = Clip(frames=frames, reference=reference_frames, device=device)
        if reader is not None:
            input_file = None if reference is not None or inputs is None else _input_of(clip_id, inputs)
            clip = _with_faces(clip, reader, features, stored=stored.get(clip_id), input_file=input_file)
        measurements += [_measure(clip_id, clip, name, metric) for name, metric in loaded.items()]
        measurements += [Measurement(clip_id, name, None, reason) for name, reason in missing.items()]
    columns = [field.name for field in fields(Measurement)]
    return pd.DataFrame(measurements, columns=columns).astype({"value": "float64"})


def write_benchmark_faces(
    clips: Mapping[str, Path],
    faces_config: FacesConfig,
    *,
    with_features: bool,
    output: Path,
    device: str = "cpu",
) -> None:
    """Find the faces of a benchmark's clips once for all methods.

    Args:
        clips: files of the true clips or, of a really degraded benchmark, of the clips themselves, by id.
        faces_config: the face backend.
        with_features: whether metrics compare with these faces, and need the features, as far as their
            networks exist here; else their places are enough.
        output: safetensors file.
        device: device of the backend's networks.
    """
    reader = FaceReader(faces_config, device)
    features = available_features(reader) if with_features else []
    progress = tqdm(clips.items(), desc="faces", unit="clip")
    save_faces(output, {clip: reader.read(read_clip(path), features) for clip, path in progress})


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


def _input_of(clip_id: str, inputs: Mapping[str, Path]) -> Path:
    if clip_id not in inputs:
        raise InputError(f"{clip_id}: is restored, but has no degraded input; add it, or give no inputs")
    return inputs[clip_id]


def _with_faces(
    clip: Clip,
    reader: FaceReader,
    features: Collection[str],
    *,
    stored: ClipFaces | None,
    input_file: Path | None,
) -> Clip:
    """A clip with its faces and its reference's or its input's, of which stored ones are not found again."""
    # Faces of another number of frames are of another cut of the clip.
    same = stored if stored is not None and len(stored.found) == len(clip.frames) else None
    if clip.reference is not None:
        reference_faces = reader.read(clip.reference, features, earlier=same)
        faces = reader.read(clip.frames, features, expected=reference_faces)
        return replace(clip, faces=faces, reference_faces=reference_faces)
    input_faces = same
    if input_faces is None and input_file is not None:
        input_faces = _read_input_faces(input_file, clip.frames, reader)
    faces = reader.read(clip.frames, features, expected=input_faces)
    return replace(clip, faces=faces, input_faces=input_faces)


def _read_input_faces(path: Path, restored: np.ndarray, reader: FaceReader) -> ClipFaces:
    """The places of a degraded clip's faces in its restored frames, which may be of another size."""
    frames = read_clip(path)
    if len(frames) != len(restored):
        raise InputError(
            f"{path}: has {len(frames)} frames, but the clip that was restored from it {len(restored)}; give "
            "the input that was restored"
        )
    height, width = (restored.shape[axis] / frames.shape[axis] for axis in (1, 2))
    return reader.read(frames, ()).resized((width, height))


def _measure(clip_id: str, clip: Clip, name: str, metric: Metric) -> Measurement:
    if metric.needs_reference and clip.reference is None:
        return Measurement(clip_id, name, None, "this benchmark has no ground truth")
    try:
        return Measurement(clip_id, name, metric.measure(clip))
    except NotMeasurableError as error:
        return Measurement(clip_id, name, None, str(error))
