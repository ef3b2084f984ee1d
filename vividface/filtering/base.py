"""The interface of a judge: what it is asked, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vividface.filtering.rubric import Rubric


@dataclass(frozen=True, kw_only=True)
class JudgedClip:
    """A clip to be scored, and its face.

    Attributes:
        clip_id: id of the clip.
        video: path of the clip.
        masks: path of the video of its face masks.
        landmarks: (F, K, 2) in pixels, K = 68, 5 or 478.
        found: (F,) whether the landmarks of each frame were detected and not interpolated.
        crop_size: side of the crop in the source video, pixels.
    """

    clip_id: str
    video: Path
    masks: Path
    landmarks: np.ndarray
    found: np.ndarray
    crop_size: float


@dataclass(frozen=True, kw_only=True)
class JudgeDescription:
    """Who scored, with which settings: columns of `scores/{shard}.parquet`.

    Attributes:
        judge: name of the judge in the configuration.
        model: name of the model, or empty.
        revision: revision of the model, or version of the measures.
        settings: settings that change the scores, as JSON.
        prompt: SHA-256 of the prompt, or empty.
    """

    judge: str
    model: str = ""
    revision: str = ""
    settings: str = "{}"
    prompt: str = ""


@dataclass(frozen=True)
class Verdict:
    """A judge's answer about one clip.

    Attributes:
        clip_id: id of the clip.
        points: points of all criteria; None if the clip remains unscored.
        applied: names of the adjustments that apply.
        reasons: explanation of the scores, as values of JSON.
        reply: full text of a language model's last reply.
        attempts: number of times that the model was asked.
        flags: oddities, such as sums that had to be corrected, or replies that were refused.
        problem: why the clip remains unscored, or empty.
        input_tokens: number of tokens read in all attempts; None where nothing counts them.
        output_tokens: number of tokens written in all attempts; None where nothing counts them.
        cost: cost of all attempts, in the currency of the configured prices; None without prices.
    """

    clip_id: str
    points: Mapping[str, float] | None
    applied: Sequence[str] = ()
    reasons: Mapping[str, Any] = field(default_factory=dict)
    reply: str = ""
    attempts: int = 1
    flags: Sequence[str] = ()
    problem: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None

    def row(self, rubric: Rubric) -> dict[str, Any]:
        """The columns of `scores/{shard}.parquet` that differ by clip, with the sums done."""
        points: dict[str, float | None] = dict.fromkeys(rubric.criteria)
        base = adjustment = score = None
        tier = "unscored"
        if self.points is not None:
            base, adjustment, score = (round(value, 3) for value in rubric.total(self.points, self.applied))
            points, tier = dict(self.points), rubric.tier(score)
        reasons = {"adjustments": list(self.applied), **self.reasons}
        return {
            "clip_id": self.clip_id,
            **points,
            "base": base,
            "adjustment": adjustment,
            "score": score,
            "tier": tier,
            "reasons": json.dumps(reasons, sort_keys=True, ensure_ascii=False),
            "flags": json.dumps(list(self.flags), ensure_ascii=False),
            "problem": self.problem,
            "reply": self.reply,
            "attempts": self.attempts,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost": self.cost,
        }


class Judge(Protocol):
    """Scores clips on a rubric.

    Attributes:
        description: name and settings of who scores.
        needs_faces: whether it uses masks and landmarks, and not the video alone.
    """

    description: JudgeDescription
    needs_faces: bool

    def score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        """The verdicts as they come, in any order.

        A clip that cannot be read or scored has a verdict that says so.

        Raises:
            InputError: the judge itself does not work; the verdicts that were yielded before are valid.
        """
