"""The report's figures: PNG bytes, the same for the same input."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pandas as pd

from vividface.video import VideoInfo, iterate_frames, probe, read_clip, resize

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

plt.rcParams.update({"figure.dpi": 110, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})


def training_curves(curves: Mapping[str, pd.DataFrame], validations: Mapping[str, pd.DataFrame]) -> bytes:
    """Loss and validation PSNR over steps, a column per stage.

    Args:
        curves: training curves with `step` and `loss`, by `{variant}/{stage}`.
        validations: measures of validation clips by the same names, with `step`, `psnr` and `psnr_input`, dB;
            without rows where no clips were held out.
    """
    stages = sorted({name.rpartition("/")[2] for name in curves})
    variants = sorted({name.rpartition("/")[0] for name in curves})
    size = (4.5 * len(stages), 5)
    figure, axes = plt.subplots(
        2, len(stages), figsize=size, squeeze=False, sharex="col", layout="constrained"
    )
    for loss, quality, stage in zip(*axes, stages, strict=True):
        for index, variant in enumerate(variants):
            name, style = f"{variant}/{stage}", {"linewidth": 1.2, "color": f"C{index}"}
            curve, measured = curves.get(name, pd.DataFrame()), validations.get(name, pd.DataFrame())
            if len(curve):
                loss.plot(curve["step"], curve["loss"].ewm(span=8).mean(), label=variant, **style)
            if len(measured):
                quality.plot(measured["step"], measured["psnr"], marker=".", **style)
                quality.axhline(
                    measured["psnr_input"].iloc[0], color="tab:gray", linewidth=0.8, linestyle=":"
                )
        loss.set(title=stage.replace("_", " "), ylabel="loss, smoothed", yscale="log")
        quality.set(xlabel="step", ylabel="validation PSNR (dB)")
        handles, labels = loss.get_legend_handles_labels()
        position = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
        quality.legend(handles, labels, frameon=False, fontsize=7, ncols=3, **position)
    return _png(figure)


def before_after(clips: Sequence[Mapping[str, Path]], *, frame: int = 8) -> bytes:
    """One frame of each clip in each of its versions, side by side.

    Args:
        clips: per clip, the path of each version by its title; the last is the ground truth.
        frame: index of the frame; a shorter clip shows its last.
    """
    rows = []
    for versions in clips:
        info = _truth(versions)
        shown = min(frame, info.num_frames - 1)
        size = (info.width, info.height)
        images = [read_clip(path, shown, shown + 1, size=size)[0] for path in versions.values()]
        rows.append(np.concatenate([_enlarge(image) for image in images], axis=1))
    titles = list(clips[0])
    height = len(rows) * rows[0].shape[0] / rows[0].shape[1]
    width = 2.0 * len(titles)
    figure, axis = plt.subplots(figsize=(width, width * height + 0.3))
    axis.imshow(np.concatenate(rows))
    side = rows[0].shape[1] / len(titles)
    axis.set_xticks([side * (index + 0.5) for index in range(len(titles))], titles)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.set_yticks([])
    _frameless(axis)
    return _png(figure)


def temporal_slice(versions: Mapping[str, Path], *, column: float = 0.5) -> bytes:
    """One pixel column over time, per version of a clip (the paper's Figure 7).

    Args:
        versions: path of each version by its title; the last is the ground truth.
        column: place of the column, as a share of the width.
    """
    figure, axes = plt.subplots(1, len(versions), figsize=(1.9 * len(versions), 2.4))
    info = _truth(versions)
    size, x = (info.width, info.height), int(column * (info.width - 1))
    for axis, (title, path) in zip(np.atleast_1d(axes), versions.items(), strict=True):
        # Frame by frame: a clip may be a whole video.
        strip = np.stack([resize(frame, size)[:, x] for frame in iterate_frames(path)], axis=1)
        axis.imshow(np.repeat(strip, 4, axis=1), aspect="auto", interpolation="nearest")
        axis.set_title(title, fontsize=8)
        axis.set(xticks=[], yticks=[], xlabel="time →")
        _frameless(axis)
    return _png(figure)


def time_versus_quality(
    points: Mapping[str, tuple[float, float]],
    *,
    quality: str,
    paper: Mapping[str, tuple[float, float]],
    highlighted: Collection[str],
) -> bytes:
    """Time against quality (the paper's Figure 1): ours on the left, the paper's Table 3 on the right.

    Args:
        points: milliseconds per frame and quality, by method.
        quality: name of the quality's metric.
        paper: seconds per 81 frames of 512x512 and IDS, by method.
        highlighted: methods in red.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    panels = (
        (points, "ms per frame (measured)", quality),
        (paper, "s per clip (paper, A100)", "IDS (paper)"),
    )
    for axis, (methods, x, y) in zip(axes, panels, strict=True):
        for name, (time, value) in methods.items():
            axis.scatter(max(time, 1e-3), value, s=28, color="tab:red" if name in highlighted else "tab:blue")
            axis.annotate(
                name, (max(time, 1e-3), value), textcoords="offset points", xytext=(4, 4), fontsize=7
            )
        axis.set(xscale="log", xlabel=x, ylabel=y)
        axis.margins(0.18)
    return _png(figure)


def dataset_statistics(datasets: Mapping[str, pd.DataFrame]) -> bytes:
    """The clips of each dataset: kept or why not, size of the face, sharpness, duration.

    Args:
        datasets: the clips' table of each dataset by its title.
    """
    panels = (
        ("face_px", "face's width in the video (px)"),
        ("sharpness", "sharpness of the crop"),
        ("seconds", "duration (s)"),
    )
    size = (13, 2.3 * len(datasets))
    figure, axes = plt.subplots(len(datasets), 4, figsize=size, squeeze=False, layout="constrained")
    for row, (title, table) in zip(axes, datasets.items(), strict=True):
        reasons = table["rejection"].replace("", "kept").value_counts()
        colours = ["tab:green" if reason == "kept" else "tab:gray" for reason in reasons.index]
        bars = row[0].barh(reasons.index[::-1], reasons.to_numpy()[::-1], color=colours[::-1])
        row[0].bar_label(bars, padding=2)
        row[0].set(title=title, xlabel="clips")
        row[0].margins(x=0.15)
        kept = table[table["kept"].astype(bool)]
        seconds = [
            frames / float(Fraction(fps)) for frames, fps in zip(kept["frames"], kept["fps"], strict=True)
        ]
        kept = kept.assign(seconds=seconds)
        for axis, (column, label) in zip(row[1:], panels, strict=True):
            axis.hist(kept[column].dropna(), bins=20, color="tab:blue")
            axis.set(xlabel=label)
    return _png(figure)


def score_histogram(scores: pd.Series, threshold: float | None) -> bytes:
    """The judge's scores with the selection's threshold, if it has one."""
    figure, axis = plt.subplots(figsize=(4.5, 2.6))
    axis.hist(scores, bins=20, color="tab:gray")
    axis.set(xlabel="score", ylabel="clips")
    if threshold is not None:
        axis.axvline(threshold, color="tab:red", linewidth=1.2, label=f"kept above {threshold:g}")
        axis.legend(frameon=False)
    return _png(figure)


def _truth(versions: Mapping[str, Path]) -> VideoInfo:
    """What the last version of a clip is, the ground truth, at whose size all are shown."""
    return probe(list(versions.values())[-1])


def _enlarge(image: np.ndarray, side: int = 256) -> np.ndarray:
    """A picture in the middle of a black square."""
    scale = side / max(image.shape[:2])
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_CUBIC
    )
    return square


def _frameless(axis: Axes) -> None:
    for spine in axis.spines.values():
        spine.set_visible(False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()
