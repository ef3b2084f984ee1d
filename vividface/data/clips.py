"""Cutting videos into clips and cropping the face out of each (section 3.3, face region extraction)."""

from __future__ import annotations

import hashlib
import logging
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
    track_faces,
    unified_window,
)
from vividface.files import atomic_path
from vividface.video import VideoWriter, iterate_frames, probe, write_clip

logger = logging.getLogger(__name__)

_MEASURES = ("window_x", "window_y", "window_size", "face_px", "lost_share", "padding_share")


class _RejectedError(Exception):
    """A clip is not used; the message is the reason that its row records."""


def plan_clips(
    videos: pd.DataFrame, dataset: DatasetConfig, clips: ClipsConfig, shards: int, seed: int
) -> pd.DataFrame:
    """Decide which clips to cut, without decoding anything.

    Every video is cut into consecutive clips. A video that cannot be probed or has fewer frames than a clip
    is one row with its reason.

    Args:
        videos: `video_id`, `path`, `person`.
        dataset: may set its own number of frames, and a number of clips to sample.
        clips: the number of frames otherwise.
        shards: clips are assigned to shards by a hash of their id.
        seed: of the sampling.

    Returns:
        the columns of `plan.parquet` in docs/data-formats.md, sorted by `clip_id`.
    """
    length = dataset.frames or clips.frames
    rows: list[dict] = []
    for video in videos.itertuples():
        common = {"video_id": video.video_id, "path": video.path, "person": video.person, "frames": length}
        try:
            info = probe(video.path)
        except InputError as error:
            rows.append({**common, "start": 0, "fps": "", "reason": str(error)})
            continue
        common["fps"] = str(info.fps)
        if info.frames < length:
            reason = f"{info.frames} frames, fewer than a clip's {length}"
            rows.append({**common, "start": 0, "reason": reason})
        starts = range(0, info.frames - length + 1, length)
        rows += [{**common, "start": start, "reason": ""} for start in starts]
    for row in rows:
        row["clip_id"] = f"{row['video_id']}-{row['start']:06d}"
        row["shard"] = f"{_hash(row['clip_id']) % shards:04d}"
    columns = ["clip_id", "video_id", "path", "person", "start", "frames", "fps", "shard", "reason"]
    plan = pd.DataFrame(rows, columns=columns)
    if dataset.max_clips is not None and len(plan) > dataset.max_clips:
        plan = plan.sample(dataset.max_clips, random_state=seed)
    return plan.sort_values("clip_id", ignore_index=True)


def extract_clips(
    plan: pd.DataFrame, clips: ClipsConfig, faces: FacesConfig, hq_dir: Path, faces_file: Path
) -> pd.DataFrame:
    """Cut, track, crop and write one shard's clips; a clip that fails is recorded and skipped.

    Args:
        plan: the shard's rows.
        clips: sizes and limits.
        faces: the backend.
        hq_dir: gets one lossless crop per kept clip.
        faces_file: gets the landmarks, in pixels of the crops.

    Returns:
        the columns of `clips/{shard}.parquet` in docs/data-formats.md.
    """
    backend = load_backend(faces)
    rows: list[dict] = []
    landmarks: dict[str, np.ndarray] = {}
    with atomic_path(hq_dir) as folder:
        folder.mkdir()
        for _, planned in plan.sort_values(["video_id", "start"]).groupby("video_id", sort=True):
            records = planned.to_dict("records")
            for row, frames in _cut(records):
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
                logger.info("%s: %s", row["clip_id"], row["reason"] or "kept")
    with atomic_path(faces_file) as temporary:
        save_file(landmarks, temporary)
    return pd.DataFrame(rows, columns=[*plan.columns, "kept", *_MEASURES])


def extract_video(path: Path, clips: ClipsConfig, faces: FacesConfig, output: Path) -> Window:
    """Crop the face out of a whole video, with one window and its sound, in two passes over the file.

    Args:
        path: the video.
        clips: size and margin.
        faces: the backend.
        output: the crop, H.264.

    Returns:
        the window.

    Raises:
        InputError: the video cannot be read or has no face.
    """
    backend = load_backend(faces)
    info = probe(path)
    tracked = track_faces([backend.detect(frame) for frame in iterate_frames(path)])
    if all(face is None for face in tracked):
        raise InputError(f"{path}: no face is found in any frame; give a video with a visible face")
    points, _ = interpolate_landmarks(tracked)
    window = unified_window(_boxes(points), info.height, info.width, clips.margin)
    with VideoWriter(output, clips.size, clips.size, info.fps, "h264", crf=8, audio_from=path) as writer:
        for frame in iterate_frames(path):
            writer.write(crop(frame, window, clips.size))
    return window


def check_rejections(tables: Sequence[pd.DataFrame], clips: ClipsConfig) -> None:
    """Stop a run in which too many clips were rejected.

    Raises:
        InputError: naming the share and the commonest reasons.
    """
    table = pd.concat(tables, ignore_index=True)
    kept = int(table["kept"].sum())
    share = 1 - kept / max(len(table), 1)
    if share > clips.max_rejected_share or not kept:
        reasons = table.loc[~table["kept"].astype(bool), "reason"].value_counts().head(3)
        listed = "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) or "there is no clip"
        raise InputError(
            f"{share:.0%} of {len(table)} clips were rejected ({listed}); look at the videos, or change "
            "clips.max_rejected_share"
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
        located = [str(by_shard[row.shard] / f"{row.clip_id}.mkv") for row in clips.itertuples()]
        clips = clips.assign(**{kind: located})
    return clips


def _cut(records: list[dict]) -> Iterator[tuple[dict, list[np.ndarray]]]:
    """The frames of each of one video's clips, in a single decoding pass over it.

    A clip that the file ends or breaks in gets a reason and no frames; so do those behind it.
    """
    frames: Iterator[tuple[int, np.ndarray]] | None = None
    failure = ""
    for row in records:
        collected: list[np.ndarray] = []
        if not row["reason"] and not failure:
            frames = frames or enumerate(iterate_frames(row["path"]))
            try:
                for index, frame in frames:
                    if index >= row["start"]:
                        collected.append(frame)
                    if index == row["start"] + row["frames"] - 1:
                        break
            except InputError as error:
                failure = str(error)
        if not row["reason"] and len(collected) < row["frames"]:
            row = {**row, "reason": failure or "the video ends before the clip does"}
        yield row, collected


def _crop_clip(
    frames: list[np.ndarray],
    fps: str,
    clips: ClipsConfig,
    backend: FaceBackend,
    destination: Path,
    measures: dict[str, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Write a clip's crop; returns its landmarks in the crop, and which were found."""
    tracked: list[Face | None] = track_faces([backend.detect(frame) for frame in frames])
    lost = sum(face is None for face in tracked) / len(tracked)
    measures["lost_share"] = lost
    if lost == 1:
        raise _RejectedError("no face")
    if lost > clips.max_lost_share:
        raise _RejectedError(f"the face is lost in more than {clips.max_lost_share:.0%} of the frames")
    points, found = interpolate_landmarks(tracked)
    width = float(np.median(np.ptp(points[:, :, 0], axis=1)))
    measures["face_px"] = width
    if width < clips.min_face:
        raise _RejectedError(f"the face is smaller than {clips.min_face} px")
    height_px, width_px = frames[0].shape[:2]
    window = unified_window(_boxes(points), height_px, width_px, clips.margin)
    measures["padding_share"] = padding = window.padding_share(height_px, width_px)
    measures.update(window_x=window.x, window_y=window.y, window_size=window.size)
    if padding > clips.max_padding_share:
        raise _RejectedError(f"more than {clips.max_padding_share:.0%} of the window is outside the frame")
    write_clip(destination, np.stack([crop(f, window, clips.size) for f in frames]), Fraction(fps))
    scale = clips.size / window.size
    return ((points - (window.x, window.y)) * scale).astype(np.float32), found


def _boxes(points: np.ndarray) -> np.ndarray:
    return np.stack([face_box(frame) for frame in points])


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
