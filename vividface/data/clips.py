"""Cutting videos into clips and cropping the face out of each (section 3.3, face region extraction)."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from vividface.config import ClipsConfig, DatasetConfig, FacesConfig
from vividface.errors import InputError
from vividface.faces.backend import Face, FaceBackend, load_backend
from vividface.faces.windows import (
    Window,
    crop,
    face_box,
    interpolate_landmarks,
    to_crop,
    track_faces,
    unified_window,
)
from vividface.files import atomic_path
from vividface.video import VideoWriter, iterate_frames, probe, require_whole

logger = logging.getLogger(__name__)

_PLANNED = ["clip_id", "video_id", "path", "person", "start", "frames", "fps", "shard", "reason"]
_MEASURES = ("window_x", "window_y", "window_size", "face_px", "lost_share", "padding_share")


class _RejectedError(Exception):
    """A clip is not used; the message is the reason that its row records, `category: details`."""


def plan_clips(
    videos: pd.DataFrame, dataset: DatasetConfig, clips: ClipsConfig, shards: int, seed: int
) -> pd.DataFrame:
    """Decide which clips to cut, without decoding anything.

    Every video is cut into consecutive clips that do not overlap. A video that cannot be probed or has fewer
    frames than a clip, and the missing end of one that is truncated, is one row with its reason, and is never
    sampled away.

    Args:
        videos: `video_id`, `path`, `person`.
        dataset: may set its own number of frames, and the number of clips to sample.
        clips: the number of frames otherwise.
        shards: number of shards; a clip's shard is a hash of its id.
        seed: of the sampling, which is by a hash too: a clip's chance does not depend on the other videos.

    Returns:
        the columns of `plan.parquet` in docs/data-formats.md, sorted by `clip_id`.
    """
    length = dataset.frames or clips.frames
    rows: list[dict] = []
    for video in videos[["video_id", "path", "person"]].to_dict("records"):
        common = {**video, "frames": length}
        try:
            info = probe(video["path"])
        except InputError as error:
            reason = f"unreadable: {_without_path(error, video['path'])}"
            rows.append({**common, "start": 0, "fps": "", "reason": reason})
            continue
        common["fps"] = str(info.fps)
        if info.frames < length:
            reason = f"too short: {info.frames} frames, a clip has {length}"
            rows.append({**common, "start": 0, "reason": reason})
        starts = range(0, info.frames - length + 1, length)
        rows += [{**common, "start": start, "reason": ""} for start in starts]
        if info.truncated:
            reason = f"truncated: the file ends after {info.frames} frames"
            rows.append({**common, "start": info.frames, "reason": reason})
    for row in rows:
        row["clip_id"] = f"{row['video_id']}-{row['start']:06d}"
        row["shard"] = f"{_hash(row['clip_id']) % shards:04d}"
    if dataset.max_clips is not None:
        usable = sorted(
            (row for row in rows if not row["reason"]), key=lambda row: _hash(f"{seed}/{row['clip_id']}")
        )
        rows = [row for row in rows if row["reason"]] + usable[: dataset.max_clips]
    return pd.DataFrame(rows, columns=_PLANNED).sort_values("clip_id", ignore_index=True)


def extract_clips(
    plan: pd.DataFrame, clips: ClipsConfig, faces: FacesConfig, hq_dir: Path, faces_file: Path
) -> pd.DataFrame:
    """Cut, track, crop and write one shard's clips; a clip that fails is recorded and skipped.

    Each video is decoded once, and one clip's frames are in memory at a time.

    Args:
        plan: the shard's rows.
        clips: sizes and limits.
        faces: the backend.
        hq_dir: gets one lossless crop per kept clip; written atomically.
        faces_file: gets the landmarks, in pixels of the crops; written atomically.

    Returns:
        the columns of `clips/{shard}.parquet` in docs/data-formats.md. `reason` is empty or starts with
        `unreadable`, `too short`, `truncated`, `no face`, `face lost`, `small face` or `padding`.
    """
    backend = load_backend(faces)
    rows: list[dict] = []
    landmarks: dict[str, np.ndarray] = {}
    with atomic_path(hq_dir) as folder:
        folder.mkdir()
        for _, planned in plan.sort_values(["video_id", "start"]).groupby("video_id", sort=True):
            for row, frames in _cut(planned.to_dict("records")):
                measures: dict[str, float] = dict.fromkeys(_MEASURES, np.nan)
                try:
                    if row["reason"]:
                        raise _RejectedError(row["reason"])
                    destination = folder / f"{row['clip_id']}.mkv"
                    points, found = _crop_clip(frames, row["fps"], clips, backend, destination, measures)
                    landmarks[f"{row['clip_id']}.landmarks"] = points
                    landmarks[f"{row['clip_id']}.found"] = found.astype(np.uint8)
                except _RejectedError as reason:
                    row["reason"] = str(reason)
                rows.append({**row, "kept": not row["reason"], **measures})
                logger.info("%d/%d %s: %s", len(rows), len(plan), row["clip_id"], row["reason"] or "kept")
        with atomic_path(faces_file) as temporary:
            save_file(landmarks, temporary)
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
    tracked = track_faces([backend.detect(frame) for frame in iterate_frames(path)])
    if all(face is None for face in tracked):
        raise InputError(f"{path}: no face is found in any frame; give a video with a visible face")
    window = unified_window(_boxes(tracked), info.height, info.width, clips.margin)
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


def _cut(records: list[dict]) -> Iterator[tuple[dict, list[np.ndarray]]]:
    """The frames of each of one video's clips, in a single decoding pass over it.

    A clip in which the file ends or breaks gets a reason and no frames; so do those behind it. The list of
    frames is emptied when the next clip is asked for.
    """
    decoded: Iterator[tuple[int, np.ndarray]] | None = None
    failure = ""
    for row in records:
        frames: list[np.ndarray] = []
        if not row["reason"] and not failure:
            start = row["start"]
            decoded = decoded or enumerate(iterate_frames(row["path"], start), start)
            try:
                for index, frame in decoded:
                    if index >= start:
                        frames.append(frame)
                    if len(frames) == row["frames"]:
                        break
                else:
                    failure = "truncated: the video ends before the clip does"
            except InputError as error:
                failure = f"truncated: {_without_path(error, row['path'])}"
        if failure:
            frames.clear()
        yield {**row, "reason": row["reason"] or failure}, frames
        frames.clear()


def _crop_clip(
    frames: list[np.ndarray],
    fps: str,
    clips: ClipsConfig,
    backend: FaceBackend,
    destination: Path,
    measures: dict[str, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Write a clip's crop, fill in its measures; returns its landmarks in the crop and which were found."""
    tracked = track_faces([backend.detect(frame) for frame in frames])
    lost = sum(face is None for face in tracked) / len(tracked)
    measures["lost_share"] = lost
    if lost == 1:
        raise _RejectedError("no face: none is found in any frame")
    if lost > clips.max_lost_share:
        raise _RejectedError(f"face lost: in {lost:.0%} of the frames, more than {clips.max_lost_share:.0%}")
    points, found = interpolate_landmarks(tracked)
    face_px = measures["face_px"] = float(np.median(np.ptp(points[:, :, 0], axis=1)))
    if face_px < clips.min_face:
        raise _RejectedError(f"small face: {face_px:.0f} px wide, less than {clips.min_face}")
    height, width = frames[0].shape[:2]
    window = unified_window(_boxes(tracked), height, width, clips.margin)
    padding = measures["padding_share"] = window.padding_share(height, width)
    measures.update(window_x=window.x, window_y=window.y, window_size=window.size)
    if padding > clips.max_padding_share:
        raise _RejectedError(
            f"padding: {padding:.0%} of the window lies outside the frame, "
            f"more than {clips.max_padding_share:.0%}"
        )
    with VideoWriter(destination, clips.size, clips.size, Fraction(fps)) as writer:
        for frame in frames:
            writer.write(crop(frame, window, clips.size))
    return to_crop(points, window, clips.size), found


def _boxes(tracked: list[Face | None]) -> np.ndarray:
    """The whole faces' boxes; those of lost frames lie between their neighbours' and need not be known."""
    return np.stack([face_box(face) for face in tracked if face is not None])


def _without_path(error: InputError, path: str) -> str:
    return str(error).removeprefix(f"{path}: ")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
