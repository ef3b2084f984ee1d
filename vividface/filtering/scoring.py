"""Scoring a shard's clips: clip by clip, so that a killed run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.numpy import load_file

from vividface.config.filtering import SECTIONS, FilterConfig
from vividface.files import sha256
from vividface.filtering.judge import Judge, JudgedClip, load_judge
from vividface.filtering.rubric import Rubric, load_rubric

logger = logging.getLogger(__name__)

_IDENTITY = ("judge", "model", "revision", "settings", "prompt")
_TYPES: dict[str, Any] = {"base": float, "adjustment": float, "score": float, "cost": float}
_TYPES |= {"attempts": "int64", "input_tokens": "Int64", "output_tokens": "Int64"}


def score_shard(
    clips: pd.DataFrame,
    hq_dir: Path,
    mask_dir: Path,
    faces_file: Path,
    config: FilterConfig,
    journal: Path,
    device: str = "cpu",
) -> pd.DataFrame:
    """Score every clip of a shard.

    Each verdict is written to the journal as it comes. A later call with the same judge, sampling, rubric and
    clip takes it from there: after a kill, or when a timeout or a price was changed.

    Args:
        clips: one row per clip: `clip_id`, `shard`, `window_size`.
        hq_dir: the clips.
        mask_dir: their face masks.
        faces_file: their landmarks.
        config: the judge and the rubric.
        journal: a file of JSON lines, made or gone on with.
        device: where a model runs.

    Returns:
        the columns of `scores/{shard}.parquet` in docs/data-formats.md, in order of the clips.

    Raises:
        InputError: the judge does not work; what was scored before is in the journal.
    """
    rubric = load_rubric(config.rubric)
    judged = {clip.clip_id: clip for clip in _judged_clips(clips, hq_dir, mask_dir, faces_file)}
    judge = load_judge(config, rubric, device) if judged else None
    rows: dict[str, dict] = {}
    if judge is not None:
        keys = {name: _key(clip, judge, rubric, config.attempts) for name, clip in judged.items()}
        known = _read(journal)
        rows = {name: known[key] for name, key in keys.items() if key in known}
        pending = [clip for name, clip in judged.items() if name not in rows]
        logger.info("%d clips are scored already, %d are left", len(rows), len(pending))
        if pending:
            rows |= _score(judge, pending, rubric, keys, journal)
    common = {"rubric": rubric.name, **(judge.identity if judge else dict.fromkeys(_IDENTITY, ""))}
    shards = dict(zip(clips["clip_id"], clips["shard"], strict=True))
    ordered = [{"shard": shards[name], **common, **rows[name]} for name in judged]
    columns = ["clip_id", "shard", "judge", "model", "revision", "settings", "rubric", "prompt"]
    columns += [*rubric.criteria, "base", "adjustment", "score", "tier", "reasons", "flags", "problem"]
    columns += ["reply", "attempts", "input_tokens", "output_tokens", "cost"]
    types = _TYPES | dict.fromkeys(rubric.criteria, float)
    return pd.DataFrame(ordered, columns=columns).astype(types)


def _judged_clips(
    clips: pd.DataFrame, hq_dir: Path, mask_dir: Path, faces_file: Path
) -> Iterator[JudgedClip]:
    faces = load_file(faces_file)
    for clip in clips.itertuples():
        yield JudgedClip(
            clip_id=str(clip.clip_id),
            video=Path(hq_dir) / f"{clip.clip_id}.mkv",
            masks=Path(mask_dir) / f"{clip.clip_id}.mkv",
            landmarks=faces[f"{clip.clip_id}.landmarks"],
            found=faces[f"{clip.clip_id}.found"],
            window_size=float(clip.window_size),  # type: ignore[arg-type]
        )


def _score(
    judge: Judge, clips: list[JudgedClip], rubric: Rubric, keys: Mapping[str, str], journal: Path
) -> dict[str, dict[str, Any]]:
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


def _key(clip: JudgedClip, judge: Judge, rubric: Rubric, attempts: int) -> str:
    """Of everything that a clip's verdict depends on."""
    files = [clip.video, clip.masks] if judge.needs_faces else [clip.video]
    face = [clip.landmarks.tolist(), clip.found.tolist(), clip.window_size] if judge.needs_faces else []
    content = [sha256(file) if file.is_file() else "" for file in files]
    values = [clip.clip_id, content, face, judge.identity, rubric.fingerprint, attempts]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _read(journal: Path) -> dict[str, dict]:
    """What a journal holds; a line that was not written to its end is left out."""
    known: dict[str, dict] = {}
    if not journal.is_file():
        return known
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            known[entry["key"]] = entry["row"]
        except (ValueError, LookupError, TypeError):
            continue
    return known


def score_repeatedly(
    clips: pd.DataFrame,
    files: tuple[Path, Path, Path],
    config: FilterConfig,
    journal: Path,
    device: str = "cpu",
) -> pd.DataFrame:
    """Score clips several times as `filter.study` says: with another seed each time, and at its temperature.

    Args:
        clips: as for `score_shard`.
        files: its `hq_dir`, `mask_dir` and `faces_file`.
        config: with its section `study`.
        journal: as for `score_shard`.
        device: where a model runs.

    Returns:
        the tables of `score_shard`, with `repeat`.
    """
    assert config.study is not None
    section = SECTIONS.get(config.judge)
    tables = []
    for repeat in range(config.study.repeats):
        changed = config
        if section:
            sampling = {"seed": repeat, "temperature": config.study.temperature}
            changed = config.model_copy(
                update={section: getattr(config, section).model_copy(update=sampling)}
            )
        table = score_shard(clips, *files, changed, journal, device)
        tables.append(table.assign(repeat=repeat))
    return pd.concat(tables, ignore_index=True)
