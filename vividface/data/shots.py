"""Splitting videos at their cuts: a clip lies within one shot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from vividface.cuts import CutDetector
from vividface.data.clips import Rejection, shard_of, to_table
from vividface.errors import InputError
from vividface.video import is_truncated, iterate_frames, probe


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A shot of a video, or why the video or its end cannot be used: a row of `shots/{shard}.parquet`.

    Attributes:
        video_id: id of the video.
        start: index of the first frame.
        stop: index behind the last frame.
        fps: frame rate of the video, as a fraction in text; empty if it cannot be read.
        rejection: why the frames cannot be used.
        reason: the rejection and its details, or empty.
    """

    video_id: str
    start: int
    stop: int
    fps: str
    rejection: Rejection = Rejection.NONE
    reason: str = ""


def videos_of_shard(videos: pd.DataFrame, shard: str, *, num_shards: int) -> pd.DataFrame:
    """The videos whose shots a shard lists.

    Args:
        videos: one row per video, with `video_id`.
        shard: name of the shard.
        num_shards: number of shards that the videos are distributed over, by a hash of their ids.
    """
    shards = videos["video_id"].map(lambda video: shard_of(video, num_shards))
    return videos[shards == shard]


def find_shots(videos: pd.DataFrame, threshold: float | None) -> pd.DataFrame:
    """The shots of videos.

    Args:
        videos: `video_id`, `path`, and, where some could not be fetched, `reason`.
        threshold: threshold of PySceneDetect's content detector, the mean change of hue, saturation and value
            from frame to frame, 0..255; None takes each video for one shot, without decoding it.

    Returns:
        the columns of `shots/{shard}.parquet` in docs/data-formats.md. A video that cannot be read is one row
        with its reason; so is the missing end of one that is truncated, after its shots.
    """
    shots: list[Shot] = []
    for video in tqdm(videos.to_dict("records"), desc="shots", unit="video"):
        if video.get("reason"):
            shots.append(_unreadable(video["video_id"], video["reason"]))
        else:
            shots += _shots(video["video_id"], Path(video["path"]), threshold)
    return to_table(shots, Shot).astype({"start": "int64", "stop": "int64"})


def _shots(video_id: str, path: Path, threshold: float | None) -> list[Shot]:
    try:
        info = probe(path)
    except InputError as error:
        return [_unreadable(video_id, _without_path(error, path))]
    starts, end, damage = [0], info.num_frames, ""
    if is_truncated(path):
        damage = f"the file ends after {info.num_frames} frames"
    if threshold is not None:
        starts, end, error_message = _cuts(path, threshold)
        damage = error_message or damage
    fps = str(info.fps)
    shots = [
        Shot(video_id=video_id, start=start, stop=stop, fps=fps)
        for start, stop in zip(starts, [*starts[1:], end], strict=True)
    ]
    if damage:
        rejection = Rejection.TRUNCATED
        reason = rejection.because(damage)
        shots.append(
            Shot(video_id=video_id, start=end, stop=end, fps=fps, rejection=rejection, reason=reason)
        )
    return shots


def _unreadable(video_id: str, detail: str) -> Shot:
    rejection = Rejection.UNREADABLE
    reason = rejection.because(detail)
    return Shot(video_id=video_id, start=0, stop=0, fps="", rejection=rejection, reason=reason)


def _cuts(path: Path, threshold: float) -> tuple[list[int], int, str]:
    """The first frames of the shots, the number of frames, and the error that ends a damaged file."""
    detector = CutDetector(threshold)
    starts, num_frames = [0], 0
    try:
        for frame in iterate_frames(path):
            if detector.starts_shot(frame) and num_frames:
                starts.append(num_frames)
            num_frames += 1
    except InputError as error:
        starts = [start for start in starts if start < num_frames] or [0]
        return starts, num_frames, _without_path(error, path)
    return starts, num_frames, ""


def _without_path(error: InputError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
