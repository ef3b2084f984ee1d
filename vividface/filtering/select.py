"""Scoring a shard's clips, and selecting those above the threshold (section 3.3)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from safetensors.numpy import load_file

from vividface.errors import InputError
from vividface.filtering.rubric import load_rubric
from vividface.filtering.signals import score_clip
from vividface.video import read_clip, read_masks


def score_shard(
    clips: pd.DataFrame, hq_dir: Path, mask_dir: Path, faces_file: Path, rubric: str
) -> pd.DataFrame:
    """Score every clip with the judge `signals`.

    Args:
        clips: one row per clip: `clip_id`, `shard`, `window_size`.
        hq_dir: the clips.
        mask_dir: their face masks.
        faces_file: their landmarks.
        rubric: name or path of the rubric.

    Returns:
        the columns of `scores/{shard}.parquet` in docs/data-formats.md.
    """
    criteria = load_rubric(rubric)
    faces = load_file(faces_file)
    rows = []
    for clip in clips.itertuples():
        frames = read_clip(Path(hq_dir) / f"{clip.clip_id}.mkv")
        block = 8 * frames.shape[1] / clip.window_size
        landmarks, found = faces[f"{clip.clip_id}.landmarks"], faces[f"{clip.clip_id}.found"]
        masks = read_masks(Path(mask_dir) / f"{clip.clip_id}.mkv")
        scored = score_clip(frames, masks, landmarks, found, criteria, block)
        rows.append({"clip_id": clip.clip_id, "shard": clip.shard, **scored})
    columns = [
        "clip_id",
        "shard",
        "judge",
        *criteria.criteria,
        "base",
        "adjustment",
        "score",
        "tier",
        "reasons",
    ]
    return pd.DataFrame(rows, columns=columns)


def select_clips(scores: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Keep the clips that score above the threshold.

    Returns:
        `clip_id`, `shard`, `score`, `judge`, sorted by `clip_id`.

    Raises:
        InputError: none does.
    """
    selected = scores[scores["score"] > threshold]
    if selected.empty:
        best = scores["score"].max() if len(scores) else "none"
        raise InputError(
            f"filter.threshold: no clip scores above {threshold} (the best score is {best}); lower the "
            "threshold, or add better videos"
        )
    return selected[["clip_id", "shard", "score", "judge"]].sort_values("clip_id", ignore_index=True)
