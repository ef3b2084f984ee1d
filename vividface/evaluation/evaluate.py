"""Evaluating anybody's results: a folder of videos, with or without a reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from vividface.config import FacesConfig
from vividface.devices import choose_device
from vividface.errors import InputError
from vividface.evaluation.measure import measure_clips
from vividface.evaluation.metrics import METRICS, variant
from vividface.video import VIDEO_SUFFIXES, is_video

# The paper's metrics as far as they can be measured, and DISTS.
_METRICS = (
    "psnr_rgb",
    "ssim_y",
    "lpips_alex",
    "dists",
    "niqe",
    "ids",
    "akd",
    "facecons",
    "tlme",
    "landmark_motion",
)


def evaluate(
    results: Path | str,
    reference: Path | str | None = None,
    *,
    metrics: Sequence[str] | None = None,
    faces: str = "mediapipe",
    device: str = "auto",
) -> pd.DataFrame:
    """Measure the videos of a folder.

    Args:
        results: folder of restored videos.
        reference: folder of true videos of the same names, whatever their suffixes; None where there are
            none, for metrics that need no reference.
        metrics: names of metrics (docs/metrics.md); None takes the paper's, as far as they can be measured.
        faces: face backend, `mediapipe`, `dlib` or `facexlib`; `ids` and `facecons` take its identity
            network.
        device: `cpu`, `cuda`, or `auto`: a GPU if there is one.

    Returns:
        a row `clip_id` (name without suffix), `metric`, `value`, `reason` per video and metric: a metric that
        cannot be measured has a null value and the reason.

    Raises:
        InputError: a folder holds no videos; a result has no reference, or another size or length than it; a
            metric or the face backend is not known.

    Example:
        >>> from vividface import evaluate
        >>> table = evaluate("restored/", "ground_truth/", metrics=["psnr_rgb", "ssim_y"])
        >>> sorted(table["metric"].unique())
        ['psnr_rgb', 'ssim_y']
    """
    faces_config = FacesConfig.of_backend(faces)
    restored_videos = _videos(Path(results))
    reference_videos = None
    if reference is not None:
        reference_videos = _videos(Path(reference))
        _check_names(restored_videos, reference_videos, Path(reference))
    if metrics is None:
        metrics = _default_metrics(faces_config, with_reference=reference is not None)
    return measure_clips(
        restored_videos,
        reference_videos,
        metrics=metrics,
        faces_config=faces_config,
        device=choose_device(device),
    )


def _default_metrics(faces_config: FacesConfig, *, with_reference: bool) -> list[str]:
    network = faces_config.identity_network
    return [
        name for name in _METRICS if with_reference or not METRICS[variant(name, network)].needs_reference
    ]


def _videos(folder: Path) -> dict[str, Path]:
    """The videos of a folder by their names without suffix.

    Raises:
        InputError: there are none, or two have the same name.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; check the path")
    videos: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not is_video(path):
            continue
        if path.stem in videos:
            raise InputError(f"{path}: differs from {videos[path.stem].name} only by its suffix; rename one")
        videos[path.stem] = path
    if not videos:
        raise InputError(f"{folder}: holds no videos; known suffixes are {', '.join(sorted(VIDEO_SUFFIXES))}")
    return videos


def _check_names(restored: dict[str, Path], reference: dict[str, Path], folder: Path) -> None:
    """Refuse results without a reference."""
    if missing := sorted(set(restored) - set(reference)):
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{folder}: holds no video named {missing[0]}{others}, to compare {restored[missing[0]]} with; "
            "add it, or remove the result"
        )
