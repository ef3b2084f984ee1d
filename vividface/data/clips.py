"""Cutting videos into clips and cropping the face out of each (section 3.3, face region extraction)."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from vividface.config import ClipsConfig, FacesConfig
from vividface.config.datasets import DatasetConfig
from vividface.errors import InputError
from vividface.faces.backend import FaceBackend, load_backend
from vividface.faces.tracking import follow, interpolate
from vividface.faces.windows import Window, crop, face_box, to_crop, unified_window
from vividface.files import atomic_path
from vividface.video import VideoWriter, batched, iterate_frames, require_whole

logger = logging.getLogger(__name__)

_PLANNED = ["clip_id", "video_id", "path", "person", "start", "frames", "fps", "shard", "reason"]
_MEASURES = ("window_x", "window_y", "window_size", "face_px", "lost_share", "padding_share", "sharpness")


class _RejectedError(Exception):
    """A clip is not used; the message is the reason that its row records, `category: details`."""


def plan_clips(
    videos: pd.DataFrame,
    shots: pd.DataFrame,
    dataset: DatasetConfig,
    clips: ClipsConfig,
    shards: int,
    seed: int,
) -> pd.DataFrame:
    """Decide which clips to cut, without decoding anything.

    Every shot is cut into consecutive clips that do not overlap. A video that cannot be read or has no shot
    as long as a clip, and the missing end of one that is truncated, is one row with its reason, and is never
    sampled away.

    Args:
        videos: `video_id`, `path`, `person`.
        shots: of `vividface.data.shots.find_shots`.
        dataset: may set its own number of frames, and the number of clips to sample.
        clips: the number of frames otherwise.
        shards: number of shards; a clip's shard is a hash of its id.
        seed: of the sampling, which is by a hash too: a clip's chance does not depend on the other videos.

    Returns:
        the columns of `plan.parquet` in docs/data-formats.md, sorted by `clip_id`.
    """
    length = dataset.frames or clips.frames
    by_video = dict(list(shots.groupby("video_id", sort=False)))
    rows: list[dict] = []
    for video in videos.to_dict("records"):
        common = {key: video[key] for key in ("video_id", "path", "person")}
        planned = _plan_video(by_video[video["video_id"]].to_dict("records"), length)
        rows += [{**common, "frames": length, **row} for row in planned]
    for row in rows:
        row["clip_id"] = f"{row['video_id']}-{row['start']:06d}"
        row["shard"] = shard_of(row["clip_id"], shards)
    if dataset.max_clips is not None:
        usable = sorted(
            (row for row in rows if not row["reason"]), key=lambda row: _hash(f"{seed}/{row['clip_id']}")
        )
        rows = [row for row in rows if row["reason"]] + usable[: dataset.max_clips]
    return pd.DataFrame(rows, columns=_PLANNED).sort_values("clip_id", ignore_index=True)


def shard_of(identifier: str, shards: int) -> str:
    """The shard of a clip, or of a video, by a hash of its id: `0000`, `0001`, ..."""
    return f"{_hash(identifier) % shards:04d}"


def extract_clips(
    plan: pd.DataFrame,
    clips: ClipsConfig,
    faces: FacesConfig,
    hq_dir: Path,
    faces_file: Path,
    device: str = "cpu",
    threads: int = 1,
) -> pd.DataFrame:
    """Find, follow, crop and write one shard's clips; a clip that fails is recorded and skipped.

    Each clip is decoded twice, to find the face and to crop it: memory does not grow with its length. With
    several threads as many clips are worked on at a time, so that decoding, looking and encoding overlap.

    Args:
        plan: the shard's rows.
        clips: sizes and limits.
        faces: the backend.
        hq_dir: gets one lossless crop per kept clip; written atomically.
        faces_file: gets boxes and landmarks, in pixels of the crops; written atomically.
        device: where the backend's networks run.
        threads: clips at a time.

    Returns:
        the columns of `clips/{shard}.parquet` in docs/data-formats.md. `reason` is empty or starts with
        `unreadable`, `too short`, `truncated`, `no face`, `face lost`, `small face` or `padding`.
    """
    backend = load_backend(faces, device, threads)
    rows: list[dict] = []
    held: dict[str, np.ndarray] = {}
    with atomic_path(hq_dir) as folder, ThreadPoolExecutor(threads) as pool:
        folder.mkdir()

        def run(row: dict) -> tuple[dict, dict[str, np.ndarray]]:
            measures: dict[str, float] = dict.fromkeys(_MEASURES, np.nan)
            found: dict[str, np.ndarray] = {}
            reason = row["reason"]
            if not reason:
                try:
                    found = _extract(row, clips, faces, backend, folder / f"{row['clip_id']}.mkv", measures)
                except _RejectedError as error:
                    reason = str(error)
            return {**row, "reason": reason, "kept": not reason, **measures}, found

        for row, found in pool.map(run, plan.sort_values(["video_id", "start"]).to_dict("records")):
            rows.append(row)
            held |= {f"{row['clip_id']}.{name}": array for name, array in found.items()}
            logger.info("%d/%d %s: %s", len(rows), len(plan), row["clip_id"], row["reason"] or "kept")
        with atomic_path(faces_file) as temporary:
            save_file(held, temporary)
    table = pd.DataFrame(rows, columns=[*plan.columns, "kept", *_MEASURES])
    return table.astype({"kept": bool, **dict.fromkeys(_MEASURES, float)})


def extract_video(path: Path, clips: ClipsConfig, faces: FacesConfig, output: Path) -> Window:
    """Crop the face out of a whole video, with one window and its sound, in two passes over the file.

    Args:
        path: the video.
        clips: size and margin; its limits do not apply.
        faces: the backend.
        output: the crop: lossless (.mkv), or H.264 of high quality (any other suffix).

    Returns:
        the window.

    Raises:
        InputError: the video cannot be read or has no face.
    """
    backend = load_backend(faces)
    info = require_whole(path)
    tracked = follow(backend, batched(iterate_frames(path), faces.batch_size))
    if all(face is None for face in tracked):
        raise InputError(f"{path}: no face is found in any frame; give a video with a visible face")
    boxes, landmarks, _ = interpolate(tracked)
    window = unified_window(face_box(boxes, landmarks), info.height, info.width, clips.margin)
    codec = "ffv1" if Path(output).suffix == ".mkv" else "h264"
    with VideoWriter(output, clips.size, clips.size, info.fps, codec, crf=8, audio_from=path) as writer:
        for frame in iterate_frames(path):
            writer.write(crop(frame, window, clips.size))
    return window


def check_rejections(tables: Sequence[pd.DataFrame], clips: ClipsConfig) -> None:
    """Stop a run in which too many clips were rejected, or all.

    Args:
        tables: of `extract_clips`, one per shard.
        clips: its `max_rejected_share` is the limit.

    Raises:
        InputError: naming the share and the three commonest reasons.
    """
    rejections = [reason for table in tables for reason in table.loc[~table["kept"].astype(bool), "reason"]]
    total = sum(len(table) for table in tables)
    if not total:
        raise InputError("no clip was planned; look at the dataset's source and at clips.frames")
    share = len(rejections) / total
    if share <= clips.max_rejected_share and len(rejections) < total:
        return
    counts = Counter(reason.partition(":")[0] for reason in rejections)
    listed = ", ".join(f"{count} x {reason}" for reason, count in counts.most_common(3))
    raise InputError(
        f"{len(rejections)} of {total} clips ({share:.0%}) were rejected: {listed}; for example, "
        f"{rejections[0]}. The limits are in the configuration's section `clips`: look at the videos, then "
        "change a limit or clips.max_rejected_share"
    )


def kept_clips(tables: Iterable[str | Path], shard: str | None = None) -> pd.DataFrame:
    """The kept clips of the tables of `gather_clips`, with their dataset, in order of their id.

    Args:
        tables: paths `data/{dataset}/clips.parquet`.
        shard: restrict to one shard.
    """
    parts = [pd.read_parquet(path).assign(dataset=Path(path).parent.name) for path in tables]
    table = pd.concat(parts, ignore_index=True)
    table = table[table["kept"].astype(bool)]
    if shard is not None:
        table = table[table["shard"] == shard]
    return table.sort_values("clip_id", ignore_index=True)


def locate_clips(table: str | Path, **folders: Sequence[str]) -> pd.DataFrame:
    """The kept clips of a dataset with, for each keyword, a column of the paths of their videos.

    Args:
        table: path `data/{dataset}/clips.parquet`.
        folders: the folders of all shards, `.../{shard}`, by kind (`hq`, `lq`).
    """
    clips = kept_clips([table])
    for kind, paths in folders.items():
        by_shard = {Path(path).name: Path(path) for path in paths}
        rows = zip(clips["shard"], clips["clip_id"], strict=True)
        clips = clips.assign(**{kind: [str(by_shard[shard] / f"{clip}.mkv") for shard, clip in rows]})
    return clips


def _plan_video(shots: list[dict], length: int) -> list[dict]:
    rows: list[dict] = []
    for shot in shots:
        common = {"fps": shot["fps"], "reason": shot["reason"]}
        if shot["reason"]:
            rows.append({"start": shot["start"], **common})
        starts = range(shot["start"], shot["stop"] - length + 1, length)
        rows += [{"start": start, **common} for start in starts]
    if not rows:
        longest = max(shot["stop"] - shot["start"] for shot in shots)
        shot_or_video = "the longest of its shots has " if len(shots) > 1 else ""
        reason = f"too short: {shot_or_video}{longest} frames, a clip has {length}"
        rows.append({"start": 0, "fps": shots[0]["fps"], "reason": reason})
    return rows


@dataclass
class _Located:
    """Where a clip's face is.

    Attributes:
        window: the unified square window, in pixels of the frame.
        boxes: (F, 4), in pixels of the crop.
        landmarks: (F, K, 2), in pixels of the crop.
        found: (F,) bool.
    """

    window: Window
    boxes: np.ndarray
    landmarks: np.ndarray
    found: np.ndarray


def _extract(
    row: dict,
    clips: ClipsConfig,
    faces: FacesConfig,
    backend: FaceBackend,
    destination: Path,
    measures: dict[str, float],
) -> dict[str, np.ndarray]:
    """Write a clip's crop and fill in its measures.

    Returns:
        `boxes` and `landmarks` of the face in the crop, and `found`.
    """
    try:
        located = _locate(row, clips, faces, backend, measures)
        sharpness = []
        with VideoWriter(destination, clips.size, clips.size, Fraction(row["fps"])) as writer:
            for frame in _frames(row):
                cropped = crop(frame, located.window, clips.size)
                writer.write(cropped)
                sharpness.append(cv2.Laplacian(cv2.cvtColor(cropped, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())
    except InputError as error:
        raise _RejectedError(f"truncated: {str(error).removeprefix(row['path'] + ': ')}") from None
    measures["sharpness"] = float(np.median(sharpness))
    found = located.found.astype(np.uint8)
    return {"boxes": located.boxes, "landmarks": located.landmarks, "found": found}


def _locate(
    row: dict, clips: ClipsConfig, faces: FacesConfig, backend: FaceBackend, measures: dict[str, float]
) -> _Located:
    shape: tuple[int, ...] = ()

    def batches() -> Iterable[list[np.ndarray]]:
        nonlocal shape
        for batch in batched(_frames(row), faces.batch_size):
            shape = batch[0].shape
            yield batch

    tracked = follow(backend, batches())
    lost = measures["lost_share"] = sum(face is None for face in tracked) / len(tracked)
    if lost == 1:
        raise _RejectedError("no face: none is found in any frame")
    if lost > clips.max_lost_share:
        raise _RejectedError(f"face lost: in {lost:.0%} of the frames, more than {clips.max_lost_share:.0%}")
    boxes, landmarks, found = interpolate(tracked)
    whole = face_box(boxes, landmarks)
    face_px = measures["face_px"] = float(np.median(whole[:, 2] - whole[:, 0]))
    if face_px < clips.min_face:
        raise _RejectedError(f"small face: {face_px:.0f} px wide, less than {clips.min_face}")
    height, width = shape[:2]
    window = unified_window(whole[found], height, width, clips.margin)
    padding = measures["padding_share"] = window.padding_share(height, width)
    measures.update(window_x=window.x, window_y=window.y, window_size=window.size)
    if padding > clips.max_padding_share:
        raise _RejectedError(
            f"padding: {padding:.0%} of the window lies outside the frame, "
            f"more than {clips.max_padding_share:.0%}"
        )
    corners = to_crop(boxes.reshape(-1, 2, 2), window, clips.size).reshape(-1, 4)
    return _Located(window, corners, to_crop(landmarks, window, clips.size), found)


def _frames(row: dict) -> Iterable[np.ndarray]:
    return iterate_frames(row["path"], row["start"], row["start"] + row["frames"])


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
