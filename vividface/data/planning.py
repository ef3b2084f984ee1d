"""Planning the clips to cut out of videos, without decoding anything (section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from vividface.data.clips import Rejection, from_table, shard_of, to_table
from vividface.data.shots import Shot
from vividface.files import seeded_hash


@dataclass(frozen=True, kw_only=True)
class PlannedClip:
    """A clip to cut out of a video: a row of `plan.parquet`.

    Attributes:
        clip_id: id of the clip, `<video id>-<first frame, 6 digits>`.
        video_id: id of the video.
        path: path of the video.
        person: name of who is seen in the video.
        start: index of the first frame in the video.
        frames: number of frames.
        fps: frame rate, as a fraction in text; empty if the video cannot be read.
        shard: name of the clip's shard.
        rejection: why the clip cannot be cut.
        reason: the rejection and its details, or empty.
    """

    clip_id: str
    video_id: str
    path: str
    person: str
    start: int
    frames: int
    fps: str
    shard: str
    rejection: Rejection = Rejection.NONE
    reason: str = ""


def plan_clips(
    videos: pd.DataFrame,
    shots: pd.DataFrame,
    *,
    num_frames: int | None,
    num_shards: int,
    max_clips: int | None = None,
    seed: int = 0,
    refused: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Decide which clips to cut.

    Every shot is cut into consecutive clips that do not overlap. A video that is refused, cannot be read or
    has no shot as long as a clip, and the missing end of one that is truncated, is one row with its reason,
    and is never sampled away.

    Args:
        videos: one row per video: `video_id`, `path`, `person`.
        shots: tables of `vividface.data.shots.find_shots`, of all videos.
        num_frames: number of frames of a clip; None makes each shot one clip, whatever its length, and a
            video that is truncated none.
        num_shards: number of shards; a clip's shard is a hash of its id.
        max_clips: number of clips to sample at random; None takes all.
        seed: seed of the sampling, which is by a hash: a clip's chance does not depend on the other videos.
        refused: reasons of `vividface.data.shared.reasons_of`, by the ids of the videos of a benchmark.

    Returns:
        the columns of `plan.parquet` in docs/data-formats.md, sorted by `clip_id`.
    """
    shots_of = {video: from_table(table, Shot) for video, table in shots.groupby("video_id", sort=False)}
    clips = []
    for video in videos.to_dict("records"):
        shots_of_video = shots_of[video["video_id"]]
        if reason := (refused or {}).get(video["video_id"]):
            whole = replace(shots_of_video[0], start=0, rejection=Rejection.BENCHMARK, reason=reason)
            pieces = [whole]
        else:
            pieces = _pieces(shots_of_video, num_frames)
        for piece in pieces:
            clip_id = f"{piece.video_id}-{piece.start:06d}"
            clips.append(
                PlannedClip(
                    clip_id=clip_id,
                    video_id=piece.video_id,
                    path=video["path"],
                    person=video["person"],
                    start=piece.start,
                    frames=num_frames or piece.stop - piece.start,
                    fps=piece.fps,
                    shard=shard_of(clip_id, num_shards),
                    rejection=piece.rejection,
                    reason=piece.reason,
                )
            )
    if max_clips is not None:
        rejected = [clip for clip in clips if clip.rejection]
        usable = [clip for clip in clips if not clip.rejection]
        clips = rejected + sorted(usable, key=lambda clip: seeded_hash(seed, clip.clip_id))[:max_clips]
    return to_table(sorted(clips, key=lambda clip: clip.clip_id), PlannedClip)


def _pieces(shots: list[Shot], num_frames: int | None) -> list[Shot]:
    """A video's shots cut to the length of clips; what cannot be used is a piece with its reason."""
    if num_frames is None:
        return [replace(shot, start=0) for shot in shots if shot.rejection] or shots
    pieces: list[Shot] = []
    for shot in shots:
        if shot.rejection:
            pieces.append(shot)
        starts = range(shot.start, shot.stop - num_frames + 1, num_frames)
        pieces += [replace(shot, start=start, stop=start + num_frames) for start in starts]
    if not pieces:
        longest = max(shot.stop - shot.start for shot in shots)
        subject = "the longest of its shots has " if len(shots) > 1 else ""
        rejection = Rejection.TOO_SHORT
        reason = rejection.because(f"{subject}{longest} frames, a clip has {num_frames}")
        pieces.append(replace(shots[0], start=0, rejection=rejection, reason=reason))
    return pieces
