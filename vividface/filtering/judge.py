"""What a judge is asked, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vividface.config.filtering import FilterConfig
from vividface.filtering.rubric import Rubric


@dataclass(frozen=True)
class JudgedClip:
    """A clip, and what is known of its face.

    Attributes:
        clip_id: its id.
        video: the file.
        masks: the video of its face masks.
        landmarks: (F, K, 2) in pixels, K = 68 or 5.
        found: (F,) whether each frame's landmarks were detected.
        window_size: side of its crop in the source, in pixels.
    """

    clip_id: str
    video: Path
    masks: Path
    landmarks: np.ndarray
    found: np.ndarray
    window_size: float


@dataclass(frozen=True)
class Verdict:
    """What a judge found on one clip.

    Attributes:
        clip_id: the clip.
        points: of every criterion; None if the clip remains unscored.
        applied: the adjustments that apply.
        reasons: whatever explains the scores, as values of JSON.
        reply: the full text of a language model's last reply.
        attempts: how often it was asked.
        flags: what is odd, such as sums that had to be corrected, or replies that were refused.
        problem: why the clip remains unscored.
        input_tokens: of all attempts, and `output_tokens` likewise; None where nothing counts them.
        cost: in the currency of the configured prices.
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
        """The verdict as columns of `scores/{shard}.parquet`, with the sums done."""
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
        identity: who scored, with which settings: `judge`, `model`, `revision`, `settings` (JSON) and
            `prompt`, the SHA-256 of the prompt.
        needs_faces: whether it looks at masks and landmarks too, and not at the video alone.
    """

    identity: dict[str, str]
    needs_faces: bool

    def score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        """The verdicts as they come, in any order.

        A clip that cannot be read or scored has a verdict that says so.

        Raises:
            InputError: the judge itself does not work; what was yielded before holds.
        """


def load_judge(config: FilterConfig, rubric: Rubric, device: str = "cpu") -> Judge:
    """The judge that the configuration names.

    Args:
        config: which, and its settings.
        rubric: what it judges by.
        device: where Qwen2.5-VL runs.

    Raises:
        InputError: it cannot judge by this rubric, or what it needs is not there.
    """
    match config.judge:
        case "qwen2.5-vl":
            from vividface.filtering.qwen import QwenJudge

            assert config.qwen is not None
            return QwenJudge(config.qwen, rubric, config.attempts, device)
        case "openai":
            from vividface.filtering.server import ServerJudge

            assert config.openai is not None
            return ServerJudge(config.openai, rubric, config.attempts)
        case "signals":
            from vividface.filtering.signals import SignalsJudge

            return SignalsJudge(rubric)
