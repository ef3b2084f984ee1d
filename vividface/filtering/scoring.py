"""Scoring a shard's clips: each verdict is kept as it comes, so that a killed run resumes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.numpy import load_file

from vividface.config.filtering import SECTIONS, FilterConfig
from vividface.files import digest, sha256
from vividface.filtering.base import Judge, JudgedClip
from vividface.filtering.columns import score_columns, score_types
from vividface.filtering.load import load_judge
from vividface.filtering.rubric import Rubric, load_rubric

logger = logging.getLogger(__name__)


def score_shard(
    clips: pd.DataFrame,
    config: FilterConfig,
    *,
    hq_dir: Path,
    mask_dir: Path,
    faces_file: Path,
    journal: Path,
    device: str = "cpu",
) -> pd.DataFrame:
    """Score a shard's clips.

    Each verdict is written to the journal as it comes. A later call with the same judge, settings, rubric and
    clip takes it from there: after a kill, or when a timeout or a price was changed.

    Args:
        clips: one row per clip: `clip_id`, `shard`, `crop_size`.
        config: judge, its settings and the rubric.
        hq_dir: folder of the clips.
        mask_dir: folder of their face masks.
        faces_file: file of their landmarks, as `extract_clips` writes it.
        journal: JSON-lines file of the verdicts, created or appended to.
        device: device of the judge's model.

    Returns:
        the columns of `scores/{shard}.parquet` in docs/data-formats.md, in the order of the clips.

    Raises:
        InputError: the judge does not work; the journal holds the verdicts until then.
    """
    rubric = load_rubric(config.rubric)
    judged = _judged_clips(clips, hq_dir=hq_dir, mask_dir=mask_dir, faces_file=faces_file)
    rows: list[dict[str, Any]] = []
    if judged:
        judge = load_judge(config, rubric, device=device)
        verdicts = _verdicts(judge, judged, rubric, max_attempts=config.max_attempts, journal=journal)
        common = {"rubric": rubric.name, **vars(judge.description)}
        shards = dict(zip(clips["clip_id"], clips["shard"], strict=True))
        rows = [{"shard": shards[clip.clip_id], **common, **verdicts[clip.clip_id]} for clip in judged]
    table = pd.DataFrame(rows, columns=score_columns(rubric.criteria))
    return table.astype(score_types(rubric.criteria))


def score_repeatedly(
    clips: pd.DataFrame,
    config: FilterConfig,
    *,
    hq_dir: Path,
    mask_dir: Path,
    faces_file: Path,
    journal: Path,
    device: str = "cpu",
) -> pd.DataFrame:
    """Score clips several times, each time with another seed, as the section `filter.study` says.

    Args:
        clips: clips of the shard, one row each.
        config: judge, its settings, the rubric, and in `study` the number of repeats and their temperature.
        hq_dir: folder of the clips.
        mask_dir: folder of the masks.
        faces_file: boxes and landmarks, as `extract_clips` writes them.
        journal: file of the verdicts so far, from which an interrupted run resumes.
        device: device of a judge that runs here.

    Returns:
        the tables of `score_shard`, with a column `repeat`.
    """
    assert config.study is not None
    tables = []
    for repeat in range(config.study.num_repeats):
        table = score_shard(
            clips,
            _resampled(config, seed=repeat, temperature=config.study.temperature),
            hq_dir=hq_dir,
            mask_dir=mask_dir,
            faces_file=faces_file,
            journal=journal,
            device=device,
        )
        tables.append(table.assign(repeat=repeat))
    return pd.concat(tables, ignore_index=True)


def _resampled(config: FilterConfig, **sampling: float) -> FilterConfig:
    """The configuration with other sampling settings of the judge; `measured` has none."""
    section = SECTIONS.get(config.judge)
    if section is None:
        return config
    changed = getattr(config, section).model_copy(update=sampling)
    return config.model_copy(update={section: changed})


def _judged_clips(clips: pd.DataFrame, *, hq_dir: Path, mask_dir: Path, faces_file: Path) -> list[JudgedClip]:
    faces = load_file(faces_file)
    return [
        JudgedClip(
            clip_id=clip["clip_id"],
            video=Path(hq_dir) / f"{clip['clip_id']}.mkv",
            masks=Path(mask_dir) / f"{clip['clip_id']}.mkv",
            landmarks=faces[f"{clip['clip_id']}.landmarks"],
            found=faces[f"{clip['clip_id']}.found"],
            crop_size=float(clip["crop_size"]),
        )
        for clip in clips.to_dict("records")
    ]


def _verdicts(
    judge: Judge, clips: Sequence[JudgedClip], rubric: Rubric, *, max_attempts: int, journal: Path
) -> dict[str, dict[str, Any]]:
    """The rows of all clips by their id, from the journal or, where it has none, from the judge."""
    keys = {clip.clip_id: _key(clip, judge, rubric, max_attempts=max_attempts) for clip in clips}
    recorded = _read(journal)
    rows = {clip_id: recorded[key] for clip_id, key in keys.items() if key in recorded}
    pending = [clip for clip in clips if clip.clip_id not in rows]
    logger.info("%d clips are scored already, %d are left", len(rows), len(pending))
    if pending:
        rows |= _score(judge, pending, rubric, keys=keys, journal=journal)
    return rows


def _score(
    judge: Judge, clips: Sequence[JudgedClip], rubric: Rubric, *, keys: Mapping[str, str], journal: Path
) -> dict[str, dict[str, Any]]:
    """Score clips, and append each verdict to the journal."""
    rows = {}
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        # A kill may have left half a line.
        file.write("\n")
        for verdict in judge.score(clips):
            row = rows[verdict.clip_id] = verdict.row(rubric)
            file.write(json.dumps({"key": keys[verdict.clip_id], "row": row}) + "\n")
            file.flush()
            os.fsync(file.fileno())
            logger.info("%s: %s", verdict.clip_id, verdict.problem or row["score"])
    return rows


def _key(clip: JudgedClip, judge: Judge, rubric: Rubric, *, max_attempts: int) -> str:
    """A hash of everything that a clip's verdict depends on."""
    files = [clip.video, clip.masks] if judge.needs_faces else [clip.video]
    face = [clip.landmarks.tolist(), clip.found.tolist(), clip.crop_size] if judge.needs_faces else []
    checksums = [sha256(file) if file.is_file() else "" for file in files]
    return digest([clip.clip_id, checksums, face, vars(judge.description), rubric.fingerprint, max_attempts])


def _read(journal: Path) -> dict[str, dict[str, Any]]:
    """The rows of a journal by their keys; a line that was not written to its end is left out."""
    rows: dict[str, dict[str, Any]] = {}
    if not journal.is_file():
        return rows
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            rows[entry["key"]] = entry["row"]
        except (ValueError, LookupError, TypeError):
            continue
    return rows
