"""Measuring restored clips."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from vividface.config import FacesConfig
from vividface.errors import InputError, MissingWeightsError
from vividface.evaluation.alignment import aligned, require_fitting
from vividface.evaluation.footage import Footage
from vividface.evaluation.metrics import (
    Clip,
    Metric,
    NotMeasurableError,
    SetMetric,
    load_metrics,
    load_set_metrics,
    require_known,
    variant,
)
from vividface.evaluation.metrics.features import (
    ClipFaces,
    FaceReader,
    available_features,
    load_faces,
    load_set_features,
    save_faces,
)
from vividface.video import read_clip


@dataclass(frozen=True, kw_only=True)
class RestoredClip:
    """A clip as each method restored it, and what that is compared with.

    Attributes:
        clip_id: the clip.
        results: restored clip by method.
        reference: true clip; None where there is none.
        degraded: degraded clip: without a reference, its faces say where to look at the restored ones. None
            follows the restored faces.
        offsets: number of frames that a result is late, by method. Where it is not None, every result's place
            in time is looked at, and a wrong one is an error.
    """

    clip_id: str
    results: Mapping[str, Footage]
    reference: Footage | None = None
    degraded: Footage | None = None
    offsets: Mapping[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One metric of one method's result of a clip.

    Attributes:
        clip_id: the clip.
        method: the method.
        metric: name of the metric's variant.
        value: value; None where the metric cannot be measured, or is one of sets of clips.
        reason: reason why it cannot be measured, or empty.
        features: of a metric of sets, the features (K, D) of the restored clip; else None.
        reference_features: of a metric of sets, those of the true clip; else None.
    """

    clip_id: str
    method: str
    metric: str
    value: float | None = None
    reason: str = ""
    features: list[list[float]] | None = None
    reference_features: list[list[float]] | None = None


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is measured, and with what.

    Attributes:
        metrics: names of the metrics, as in the configuration.
        faces_config: the face backend, whose identity network is the backbone of `ids` and `facecons`.
        benchmark_faces: file of `write_benchmark_faces`, with the faces and features of the references or,
            without one, the faces of the degraded clips, in frames of the restored clips' size; what it lacks
            is found. Or None.
        device: device of the networks; those of mediapipe and dlib run on the CPU.
        num_processes: number of clips that are measured at a time.

    Raises:
        InputError: a metric is not known.
    """

    metrics: Sequence[str]
    faces_config: FacesConfig
    benchmark_faces: Path | None = None
    device: str = "cpu"
    num_processes: int = 1

    def __post_init__(self) -> None:
        require_known(self.metrics, identity_network=self.faces_config.identity_network)


def measure_clips(clips: Sequence[RestoredClip], measuring: Measuring) -> pd.DataFrame:
    """Measure metrics of clips.

    Args:
        clips: restored clips.
        measuring: the metrics, and how they are measured.

    Returns:
        the measurements, a row per clip, method and metric.

    Raises:
        InputError: a result does not fit its reference.
    """
    done = {clip.clip_id: rows for clip, rows in measure_each(clips, measuring)}
    return table_of(row for clip in clips for row in done[clip.clip_id])


def table_of(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """Measurements as a table, a row each."""
    columns = [field.name for field in fields(Measurement)]
    table = pd.DataFrame([asdict(row) for row in measurements], columns=columns)
    return table.astype({"value": "float64"})


def check_clips(clips: Sequence[RestoredClip], *, progress: bool = True) -> None:
    """Refuse results that do not fit what they are compared with, before anything is measured.

    Args:
        clips: restored clips.
        progress: whether a progress bar is shown.

    Raises:
        InputError: a result is of another size, length or place in time.
    """
    for clip in tqdm(clips, desc="check", unit="clip", disable=not progress):
        reference, degraded = _true_frames(clip)
        for method, footage in clip.results.items():
            _fitted(clip, method, footage.read(), reference=reference, degraded=degraded)


def measure_each(
    clips: Sequence[RestoredClip], measuring: Measuring, *, progress: bool = True
) -> Iterator[tuple[RestoredClip, list[Measurement]]]:
    """Measure clip by clip, as `measure_clips` does.

    Args:
        clips: restored clips.
        measuring: the metrics, and how they are measured.
        progress: whether a progress bar is shown.

    Yields:
        a clip and its measurements, in the order in which they are done.
    """
    bar = tqdm(total=len(clips), desc="measure", unit="clip", disable=not progress)
    with bar:
        for done in _measured(clips, measuring):
            bar.update()
            yield done


def _measured(
    clips: Sequence[RestoredClip], measuring: Measuring
) -> Iterator[tuple[RestoredClip, list[Measurement]]]:
    num_processes = min(measuring.num_processes, len(clips))
    if num_processes < 2:
        measurer = _Measurer(measuring)
        yield from ((clip, measurer(clip)) for clip in clips)
        return
    num_threads = max(torch.get_num_threads() // num_processes, 1)
    # A forked process has no working GPU, nor OpenMP.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, context, _start, (measuring, num_threads)) as pool:
        futures = {pool.submit(_measure_in_process, clip): clip for clip in clips}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise InputError(
                f"a process that measured was killed, probably for want of memory; measure fewer than "
                f"{num_processes} clips at a time"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start(measuring: Measuring, num_threads: int) -> None:
    """Begin a process: load the networks once."""
    global _measurer
    # Ctrl-C ends a process without a word: the one that waits for it speaks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(num_threads)
    _measurer = _Measurer(measuring)


def _end_with_parent() -> None:
    """End this process when the one that waits for it was killed, which could not tell it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


_measurer: _Measurer


def _measure_in_process(clip: RestoredClip) -> list[Measurement]:
    return _measurer(clip)


class _Measurer:
    """Measures one clip after the other.

    Args:
        measuring: the metrics, and how they are measured.
    """

    def __init__(self, measuring: Measuring) -> None:
        self._device = measuring.device
        network = measuring.faces_config.identity_network
        self._names = [variant(name, network) for name in measuring.metrics]
        self._metrics, self._missing = load_metrics(measuring.metrics, identity_network=network)
        self._reader = _load_reader(measuring, self._metrics, self._missing)
        self._stored: dict[str, ClipFaces] = {}
        self._set_features: dict[str, dict[str, np.ndarray]] = {}
        if measuring.benchmark_faces is not None:
            self._stored = load_faces(measuring.benchmark_faces)
            self._set_features = load_set_features(
                measuring.benchmark_faces, self._names, device=self._device
            )

    def __call__(self, restored: RestoredClip) -> list[Measurement]:
        """The measurements of a clip."""
        reference, degraded = _true_frames(restored)
        expected = self._expected_faces(restored.clip_id, reference, degraded)
        # Results of one place in time share the true frames, and what metrics compute of them.
        clips: dict[tuple[int, int], dict[str, Clip]] = {}
        for method, footage in restored.results.items():
            frames, start = _fitted(restored, method, footage.read(), reference=reference, degraded=degraded)
            alike = clips.setdefault((start, len(frames)), {})
            true = None if reference is None else reference[start : start + len(frames)]
            shared = next((clip.reference for clip in alike.values()), true)
            known = self._known_features(restored.clip_id, true)
            clip = Clip(frames=frames, reference=shared, device=self._device, reference_features=known)
            faces = None if expected is None else expected.part(start, len(frames))
            if faces is not None and degraded is not None:
                faces = faces.resized(_scale(degraded, frames))
            alike[method] = self._with_faces(clip, faces)
        rows = [
            row
            for alike in clips.values()
            for name, metric in self._metrics.items()
            for row in _measure(restored.clip_id, alike, name, metric)
        ]
        rows += [
            Measurement(clip_id=restored.clip_id, method=method, metric=name, reason=reason)
            for method in restored.results
            for name, reason in self._missing.items()
        ]
        methods = list(restored.results)
        return sorted(rows, key=lambda row: (methods.index(row.method), self._names.index(row.metric)))

    def _features(self, *, with_reference: bool) -> list[str]:
        usable = [m for m in self._metrics.values() if with_reference or not m.needs_reference]
        return sorted({metric.feature for metric in usable if metric.feature is not None})

    def _expected_faces(
        self, clip_id: str, reference: np.ndarray | None, degraded: np.ndarray | None
    ) -> ClipFaces | None:
        """The faces of the reference or, without one, of the degraded clip; None where nothing tells."""
        stored = self._stored.get(clip_id)
        if self._reader is None:
            return None
        if reference is not None:
            # Faces of another number of frames are of another cut of the clip.
            same = stored if stored is not None and len(stored.found) == len(reference) else None
            return self._reader.read(reference, self._features(with_reference=True), earlier=same)
        if degraded is not None:
            return self._reader.read(degraded, ())
        return stored

    def _known_features(self, clip_id: str, true: np.ndarray | None) -> Mapping[str, np.ndarray]:
        """The stored features of a clip for metrics of sets; none where a part of it is compared with."""
        stored = self._stored.get(clip_id)
        whole = stored is not None and true is not None and len(stored.found) == len(true)
        return self._set_features.get(clip_id, {}) if whole else {}

    def _with_faces(self, clip: Clip, expected: ClipFaces | None) -> Clip:
        """A clip with its faces; `expected` are those of its reference or its degraded frames."""
        if self._reader is None:
            return clip
        has_reference = clip.reference is not None
        features = self._features(with_reference=has_reference)
        faces = self._reader.read(clip.frames, features, expected=expected)
        if has_reference:
            return replace(clip, faces=faces, reference_faces=expected)
        return replace(clip, faces=faces, input_faces=expected)


def write_benchmark_faces(
    clips: Mapping[str, Path],
    faces_config: FacesConfig,
    *,
    with_features: bool,
    output: Path,
    device: str = "cpu",
) -> None:
    """Find the faces of a benchmark's clips, and their features for metrics of sets, once for all methods.

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
    metrics = load_set_metrics() if with_features else []
    faces: dict[str, ClipFaces] = {}
    set_features: dict[str, dict[str, np.ndarray]] = {clip: {} for clip in clips}
    for clip, path in tqdm(clips.items(), desc="faces", unit="clip"):
        frames = read_clip(path)
        faces[clip] = reader.read(frames, features)
        for metric in metrics:
            # Of a clip that is too short, `measure` says so.
            with suppress(NotMeasurableError):
                set_features[clip][metric.name] = metric.features(frames, device)
    save_faces(output, faces, set_features=set_features, device=device)


def _load_reader(
    measuring: Measuring, loaded: dict[str, Metric], missing: dict[str, str]
) -> FaceReader | None:
    """The reader of faces, if a metric needs one; metrics whose networks do not exist here become missing."""
    reader = None
    for name, metric in list(loaded.items()):
        if not metric.needs_faces:
            continue
        try:
            reader = reader or FaceReader(measuring.faces_config, measuring.device)
            if metric.feature is not None:
                reader.prepare(metric.feature)
        except MissingWeightsError as error:
            missing[name] = str(error)
            del loaded[name]
    return reader if any(metric.needs_faces for metric in loaded.values()) else None


def _true_frames(restored: RestoredClip) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The reference's frames or, without one, the degraded ones."""
    if restored.reference is not None:
        return restored.reference.read(), None
    return None, restored.degraded.read() if restored.degraded is not None else None


def _fitted(
    restored: RestoredClip,
    method: str,
    frames: np.ndarray,
    *,
    reference: np.ndarray | None,
    degraded: np.ndarray | None,
) -> tuple[np.ndarray, int]:
    """The frames of a result that are measured, and the first frame of the reference that they show."""
    true = reference if reference is not None else degraded
    footage = restored.reference if reference is not None else restored.degraded
    if true is None or footage is None:
        return frames, 0
    paths = (restored.results[method], footage)
    if restored.offsets is None:
        require_fitting(frames, true, paths=paths, same_size=reference is not None)
        return frames, 0
    offset = restored.offsets.get(method)
    name = restored.clip_id if len(restored.results) == 1 else f"{method}/{restored.clip_id}"
    shown = aligned(name, frames, true, paths=paths, offset=offset, same_size=reference is not None)
    return shown[0], max(-(offset or 0), 0)


def _scale(degraded: np.ndarray, frames: np.ndarray) -> tuple[float, float]:
    """The factors along x and y from degraded frames to restored ones."""
    return frames.shape[2] / degraded.shape[2], frames.shape[1] / degraded.shape[1]


def _measure(clip_id: str, clips: Mapping[str, Clip], name: str, metric: Metric) -> list[Measurement]:
    """A metric of several methods' results of one clip, which have the same reference."""
    first = next(iter(clips.values()))
    values: Sequence[float | NotMeasurableError]
    if metric.needs_reference and first.reference is None:
        values = [NotMeasurableError("this benchmark has no ground truth")] * len(clips)
    elif isinstance(metric, SetMetric):
        return _features_of_sets(clip_id, clips, name, metric)
    else:
        values = metric.measure_all(list(clips.values()))
    return [
        Measurement(clip_id=clip_id, method=method, metric=name, reason=str(value))
        if isinstance(value, NotMeasurableError)
        else Measurement(clip_id=clip_id, method=method, metric=name, value=value)
        for method, value in zip(clips, values, strict=True)
    ]


def _features_of_sets(
    clip_id: str, clips: Mapping[str, Clip], name: str, metric: SetMetric
) -> list[Measurement]:
    first = next(iter(clips.values()))
    assert first.reference is not None
    try:
        known = first.reference_features.get(name)
        true = (metric.features(first.reference, first.device) if known is None else known).tolist()
        features = {method: metric.features(c.frames, c.device).tolist() for method, c in clips.items()}
    except NotMeasurableError as error:
        return [
            Measurement(clip_id=clip_id, method=method, metric=name, reason=str(error)) for method in clips
        ]
    return [
        Measurement(clip_id=clip_id, method=method, metric=name, features=rows, reference_features=true)
        for method, rows in features.items()
    ]
